/** For tests: one rig for a file; the independent checker looks at everything that was ever sent through it. */
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import type { ShardRigOptions } from "#bench/rig-parts.ts";
import { ShardRig } from "#bench/shard-rig.ts";

export type RigOf = () => ShardRig;

/** Answers the rig, once it has started. The checker runs after each test, where there are many only after all. */
export function sharedRig(options: ShardRigOptions = {}, checked: "after-each" | "after-all" = "after-each"): RigOf {
  let rig: ShardRig | undefined;
  const rigOf = () => {
    if (rig === undefined) throw new Error("the rig did not start");
    return rig;
  };
  beforeAll(async () => {
    rig = await ShardRig.start(options);
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") {
      console.log(await rigOf().logTail());
      rigOf().thaw();
    }
    if (checked === "after-each") await rigOf().check();
  });
  afterAll(async () => {
    await using closing = rig;
    await closing?.check();
  });
  return rigOf;
}

/** The outcome of each answer. */
export function outcomesOf(answers: readonly { readonly outcome: string }[]): string[] {
  return answers.map(({ outcome }) => outcome);
}

/** The same outcome n times. */
export function all(n: number, outcome: string): string[] {
  return Array.from({ length: n }, () => outcome);
}

/** A promise, and whether it is over. */
export function watched<T>(promise: Promise<T>): { readonly result: Promise<T>; isOver(): boolean } {
  let over = false;
  const result = promise.finally(() => {
    over = true;
  });
  result.catch(() => undefined);
  return { result, isOver: () => over };
}

/** Votes arrive before an outage, in it and after; everything that was sent is recorded, once. */
export async function underLoad(rig: ShardRig, electionId: string, outage: () => Promise<void>): Promise<void> {
  const election = await rig.open(electionId);
  const storm = rig.storm(election);
  await storm.more(300);
  await outage();
  await storm.more(300);
  const settled = await storm.stop();
  for (const { answer } of settled) expect(answer.outcome).toMatch(/^(RECORDED|REPEAT)$/);
  const votes = settled.map(({ vote }) => vote);
  expect(await rig.rowsOf(election, votes)).toHaveLength(settled.length);
}
