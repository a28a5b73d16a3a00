// Child processes that cannot outlive their parent: each is the leader of a process group of its own, because spin
// starts a preprocessor and apt starts much more, and all groups are killed together.

import { spawn } from "node:child_process";

export interface Finished {
  /** Exit code, or null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export class Processes {
  readonly #running = new Set<number>();

  /** Runs a program to its end and collects what it printed. Rejects only if it could not be started. */
  run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return new Promise((resolve, reject) => {
      const child = spawn(program, [...args], { ...options, detached: true, stdio: ["ignore", "pipe", "pipe"] });
      const { pid } = child;
      if (pid !== undefined) this.#running.add(pid);
      let stdout = "";
      let stderr = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        stdout += text;
      });
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        stderr += text;
      });
      child.on("error", reject);
      child.on("close", (code) => {
        if (pid !== undefined) this.#running.delete(pid);
        resolve({ code, stdout, stderr });
      });
    });
  }

  killAll(): void {
    for (const pid of this.#running) {
      try {
        process.kill(-pid, "SIGKILL");
      } catch {
        // It ended by itself a moment ago.
      }
    }
  }
}
