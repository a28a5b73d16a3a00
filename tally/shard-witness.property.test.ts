import fc from "fast-check";
import { expect, test } from "vitest";
import { CallError } from "#mesh/call-error.ts";
import { createLogger } from "#mesh/log.ts";
import { generateLedgerKey } from "#proto/ledger/signed-note.ts";
import { HandClock } from "./sample-election.ts";
import { deployment, ScriptedLedger } from "./scripted-ledger.ts";
import { ScriptedReader } from "./scripted-reader.ts";
import { ShardWitness } from "./shard-witness.ts";
import type { SignedCheckpoint } from "./signed-checkpoint.ts";
import { isBefore } from "./signed-checkpoint.ts";
import { parseRecord, recordText, type WitnessRecord } from "./witness-record.ts";

const leaves = 40;
const honest = new ScriptedLedger(0, { leaves });
const stranger = honest.changed({ key: generateLedgerKey(), leaves });
const logs = [
  honest,
  honest.changed({ rewrittenFrom: 7, leaves }),
  honest.changed({ generation: 2, rewrittenFrom: 20, leaves }),
  honest.changed({ generation: 2, rewrittenFrom: 9, leaves }),
  stranger,
];

const anyLog = fc.constantFrom(...logs);
const anyStep = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("hear"), log: anyLog, size: fc.nat(leaves) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("settle") }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("prove-from"), log: anyLog }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("fail"), failing: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart") }) },
);
type Step = {
  readonly kind: string;
  readonly log?: ScriptedLedger;
  readonly size?: number;
  readonly failing?: boolean;
};

/** Everything that was ever the highest, in order. */
async function history(steps: readonly Step[]): Promise<SignedCheckpoint[]> {
  const seen: SignedCheckpoint[] = [];
  const reader = new ScriptedReader(honest);
  const open = (record: WitnessRecord | undefined): ShardWitness => {
    const witness = new ShardWitness({
      ledger: { deployment, shardId: 0 },
      record,
      clock: new HandClock(),
      times: { proofDeadlineMs: 1_000, proofEveryMs: 0, unprovedMsMax: 30_000, shorterMsMax: 3_000 },
      log: createLogger("tally", "silent"),
      signal: new AbortController().signal,
      changed: () => {
        if (witness.record !== undefined) seen.push(witness.record.highest);
      },
    });
    return witness;
  };
  let witness = open(undefined);
  for (const { kind, log = honest, size = 0, failing } of steps) {
    if (kind === "hear") witness.hear(log.note(size), reader);
    if (kind === "settle") await witness.settled();
    if (kind === "prove-from") reader.ledger = log;
    if (kind === "fail") reader.failing = failing === true ? new CallError("UNAVAILABLE", "gone") : undefined;
    if (kind === "restart") {
      await witness.settled();
      witness = open(throughText(witness.record));
    }
  }
  await witness.settled();
  throughText(witness.record);
  return seen;
}

/** As the file gives it back. */
function throughText(record: WitnessRecord | undefined): WitnessRecord | undefined {
  if (record === undefined) return undefined;
  const text = JSON.stringify(recordText(0, record));
  return parseRecord(JSON.parse(text), deployment).record;
}

/** Whether there is one log that has both. */
function areOfOneLog(a: SignedCheckpoint, b: SignedCheckpoint): boolean {
  return logs.some((log) => log.note(a.size).equals(a.note) && log.note(b.size).equals(b.note));
}

test("whatever comes in whatever order, the highest checkpoint never goes back, and continues the one before it (I8)", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { minLength: 1, maxLength: 40 }), async (steps) => {
      const seen = await history(steps);
      for (const [i, next] of seen.entries()) {
        const last = seen[i - 1];
        if (last === undefined) continue;
        expect(isBefore(next, last)).toBe(false);
        if (next.generation === last.generation) expect(areOfOneLog(last, next)).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
}, 60_000);
