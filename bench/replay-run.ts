/** Runs bench/replay-once.ts of a checkout, in a process of its own, and reads what it measured. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { inheritedEnvironment } from "#deploy/config.ts";
import { nodeFlags, ownNode } from "#deploy/own-node.ts";

/** What it prints. */
export type ReplayFigures = {
  readonly votes: number;
  readonly votes_per_second: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** By part of the cluster. */
  readonly cpu_us_a_vote: Readonly<Record<string, number>>;
  readonly cpu_us_a_vote_in_all: number;
  /** How many cores other processes, the kernel's own and other guests of the host kept busy; absent where not known. */
  readonly other_cores?: number;
  readonly postgres: string;
};

/** `options` are those of bench/replay-once.ts. */
export async function runReplayOnce(checkout: string, ...options: readonly string[]): Promise<ReplayFigures> {
  const child = spawn(ownNode, [...nodeFlags, "bench/replay-once.ts", ...options], {
    cwd: checkout,
    env: inheritedEnvironment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
  const [code, printed, said] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  if (code !== 0) throw new Error(`the replay in ${checkout} failed:\n${said}`);
  return JSON.parse(printed) as ReplayFigures;
}
