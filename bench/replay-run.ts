/** Runs bench/replay-once.ts of a checkout, in a process of its own, and reads what it measured. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import type { ReplayFigures } from "#bench/ledger-cost-report.ts";
import { inheritedEnvironment } from "#deploy/config.ts";
import { nodeFlags, ownNode } from "#deploy/own-node.ts";

export async function runReplayOnce(checkout: string): Promise<ReplayFigures> {
  const child = spawn(ownNode, [...nodeFlags, "bench/replay-once.ts"], {
    cwd: checkout,
    env: inheritedEnvironment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
  const [code, printed, said] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  if (code !== 0) throw new Error(`the replay in ${checkout} failed:\n${said}`);
  return JSON.parse(printed) as ReplayFigures;
}
