import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { LoggedProcess } from "./logged-process.ts";
import type { ManagedProcess } from "./managed-process.ts";
import { isAlive } from "./process-identity.ts";
import { Supervisor } from "./supervisor.ts";
import { waitFor } from "./wait-for.ts";

const folder = mkdtempSync(join(tmpdir(), "urna-supervisor-"));
const supervisors: Supervisor[] = [];

/** A shell script as a process; `starts` counts how often it was begun. */
class ScriptProcess implements ManagedProcess {
  readonly name = "script";
  readonly logFile = join(folder, "script.log");
  starts = 0;
  readonly #script: string;

  constructor(script: string) {
    this.#script = script;
  }

  start(): Promise<LoggedProcess> {
    this.starts++;
    return LoggedProcess.spawn("/bin/sh", ["-c", this.#script], { logFile: this.logFile, environment: {} });
  }

  async stop(running: LoggedProcess): Promise<void> {
    running.signal("SIGTERM");
    await running.exited;
  }
}

function supervise(process: ManagedProcess, restarts = true): { supervisor: Supervisor; lines: string[] } {
  const lines: string[] = [];
  const log = (line: string) => lines.push(line);
  const options = { restarts, log, onChange: () => {}, backoffMsMin: 5, backoffMsMax: 20 };
  const supervisor = new Supervisor(process, options);
  supervisors.push(supervisor);
  return { supervisor, lines };
}

afterEach(() => Promise.all(supervisors.splice(0).map((supervisor) => supervisor.stop())));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a supervisor", () => {
  test("starts again what was killed, and says so", async () => {
    const { supervisor, lines } = supervise(new ScriptProcess("exec sleep 60"));
    await supervisor.start();
    const first = supervisor.running?.pid ?? 0;
    process.kill(first, "SIGKILL");
    const second = await waitFor("a restart", 5_000, () => otherPid(supervisor, first));
    expect(isAlive(second)).toBe(true);
    expect(lines[0]).toBe("script ended (SIGKILL); starting it again in 0.005 s");
  });

  test("goes on trying what ends at every start, and counts it", async () => {
    const script = new ScriptProcess("exit 3");
    const { supervisor, lines } = supervise(script);
    await supervisor.start();
    await waitFor("five starts", 5_000, () => (supervisor.quickEnds >= 4 ? true : undefined));
    expect(script.starts).toBeGreaterThan(3);
    expect(lines[0]).toContain("exit code 3");
  });

  test("leaves what was stopped on purpose, also between two attempts", async () => {
    const script = new ScriptProcess("exit 0");
    const { supervisor } = supervise(script);
    await supervisor.start();
    await supervisor.stop();
    const { starts } = script;
    await supervisor.start();
    expect(script.starts).toBe(starts + 1);
  });

  test("leaves what ends when it is told to only watch", async () => {
    const { supervisor } = supervise(new ScriptProcess("exec sleep 60"), false);
    await supervisor.start();
    const running = supervisor.running;
    running?.signal("SIGKILL");
    await running?.exited;
    expect(supervisor.running).toBeUndefined();
    await supervisor.start();
    expect(supervisor.running?.pid).not.toBe(running?.pid);
  });

  test("the output of a process goes to its log", async () => {
    const { supervisor } = supervise(new ScriptProcess("echo said; echo so >&2; exec sleep 60"));
    await supervisor.start();
    const log = await waitFor("the log", 5_000, () => {
      const text = readFileSync(join(folder, "script.log"), "utf8");
      return text.includes("said\nso\n") ? text : undefined;
    });
    expect(log).toContain("said");
  });
});

function otherPid(supervisor: Supervisor, former: number): number | undefined {
  const pid = supervisor.running?.pid;
  return pid !== undefined && pid !== former ? pid : undefined;
}
