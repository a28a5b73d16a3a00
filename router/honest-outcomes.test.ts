/**
 * Whatever a shard does on the wire, every vote gets one outcome and no outcome lies. The peer here keeps votes by their
 * nullifiers, as a shard does, and loses frames, answers and streams as a seed tells it.
 */
import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { CallError } from "#mesh/call-error.ts";
import type { RecordVotesRequest } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import { type Outcome, OutcomeSchema } from "#proto/generated/urna/v1/vote_pb.js";
import { startHarness, vote } from "./router-harness.ts";
import type { ScriptedShard } from "./scripted-shard.ts";
import { answerEach } from "./scripted-shard.ts";

const votersPerCall = 40;

type Stored = { readonly keyHash: string; readonly leaf: bigint; readonly batch: bigint };

const frameFates = [
  "answer",
  "answer",
  "mixed",
  "mixed",
  "store and break",
  "break",
  "store silently",
  "ignore",
] as const;
const voteFates = ["store", "store", "overloaded", "late", "unknown, stored", "unknown", "wrong shard"] as const;

/** Refusals that promise that nothing was stored. */
const storedNothing = new Set(["OVERLOADED", "DEADLINE_PASSED", "SHARD_UNAVAILABLE", "INVALID_BALLOT"]);

class Peer {
  readonly stored = new Map<string, Stored>();
  readonly #next: (bound: number) => number;

  constructor(next: (bound: number) => number) {
    this.#next = next;
  }

  answer(frame: RecordVotesRequest, shard: ScriptedShard) {
    const fate = frameFates[this.#next(frameFates.length)];
    const storeAll = () => this.#answerWith(frame, shard, () => "store");
    if (fate === "answer") return storeAll();
    if (fate === "mixed")
      return this.#answerWith(frame, shard, () => voteFates[this.#next(voteFates.length)] ?? "store");
    if (fate === "store and break" || fate === "store silently") storeAll();
    if (fate === "store and break" || fate === "break") shard.breakStreams();
    return undefined;
  }

  #answerWith(frame: RecordVotesRequest, shard: ScriptedShard, fateOf: () => (typeof voteFates)[number]) {
    const places = new Map<number, Stored>();
    const batch = shard.batch + 1n;
    const answer = answerEach(frame, shard, (index, nullifier) => {
      const fate = fateOf();
      if (fate === "overloaded") return RecordOutcome.OVERLOADED;
      if (fate === "late") return RecordOutcome.DEADLINE_PASSED;
      if (fate === "wrong shard") return RecordOutcome.WRONG_SHARD;
      if (fate === "unknown") return RecordOutcome.UNKNOWN;
      const keyHash = Buffer.from(frame.keyHashes.subarray(index * 16, index * 16 + 16)).toString("hex");
      const found = this.stored.get(nullifier.toString("hex"));
      const place = found ?? { keyHash, leaf: BigInt(this.stored.size), batch };
      this.stored.set(nullifier.toString("hex"), place);
      places.set(index, place);
      if (fate === "unknown, stored") return RecordOutcome.UNKNOWN;
      if (found === undefined) return RecordOutcome.RECORDED;
      const isRepeat = found.keyHash === keyHash && /[^0]/.test(keyHash);
      return isRepeat ? RecordOutcome.REPEAT : RecordOutcome.ALREADY_VOTED;
    });
    answer.outcomes.forEach((outcome, index) => {
      const isStored = outcome === RecordOutcome.RECORDED || outcome === RecordOutcome.REPEAT;
      answer.leafIndexes[index] = isStored ? (places.get(index)?.leaf ?? 0n) : 0n;
      answer.batches[index] = isStored ? (places.get(index)?.batch ?? 0n) : 0n;
    });
    return answer;
  }
}

test("every vote gets exactly one outcome, and none lies about what was stored (I3, I4)", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const harness = await startHarness({ shardCount: 2, limits: { patienceMs: 100 } });
      try {
        const peers = harness.shards.map((shard, index) => {
          const peer = new Peer(generator(seed + index));
          shard.script = (frame) => peer.answer(frame, shard);
          return peer;
        });
        const calls = Array.from({ length: 8 }, (_, call) => votersOf(call));
        const answers = await Promise.all(
          calls.map((voters) =>
            harness.votes.castVoteBatch({ votes: voters.map(voteOf) }, { deadlineMs: 600 }).catch(allUnknown),
          ),
        );
        const leaves = new Set(
          peers.flatMap(({ stored }, shard) => [...stored.values()].map((at) => `${shard}/${at.leaf}`)),
        );
        const total = peers.reduce((sum, { stored }) => sum + stored.size, 0);
        expect(leaves.size).toBe(total);
        const outcomes = answers.flatMap(({ outcomes: each }) => each);
        expect(outcomes).toHaveLength(calls.length * votersPerCall);
        judge(outcomes, leaves, total);
        // A frame that a shard ignores stays on its way until its stream ends.
        for (const shard of harness.shards) shard.breakStreams();
        await expect.poll(() => harness.router.heldVotes(), { timeout: 5_000 }).toBe(0);
      } finally {
        await harness.close();
      }
    }),
    { numRuns: 10, endOnFailure: true },
  );
}, 60_000);

/** Each voter votes once, so what is stored is at least what was acknowledged and at most that and what is unknown. */
function judge(outcomes: readonly Outcome[], leaves: ReadonlySet<string>, total: number): void {
  const acknowledged = new Set<string>();
  let unknown = 0;
  for (const { result, repeat } of outcomes) {
    if (result.case === "receipt") {
      const leaf = `${result.value.logOrigin.split("/").at(-1)}/${result.value.leafIndex}`;
      expect(leaves.has(leaf)).toBe(true);
      expect(acknowledged.has(leaf)).toBe(false);
      expect(repeat).toBe(false);
      acknowledged.add(leaf);
    } else if (result.value?.reason === "OUTCOME_UNKNOWN") unknown += 1;
    else expect(storedNothing).toContain(result.value?.reason);
  }
  expect(total).toBeGreaterThanOrEqual(acknowledged.size);
  expect(total).toBeLessThanOrEqual(acknowledged.size + unknown);
}

/** On a machine that is busy a call may end by its bare deadline: callers take all of its votes as unknown then. */
function allUnknown(cause: unknown): { readonly outcomes: readonly Outcome[] } {
  if (!(cause instanceof CallError) || cause.code !== "DEADLINE_EXCEEDED") throw cause;
  const unknown = create(OutcomeSchema, { result: { case: "rejection", value: { reason: "OUTCOME_UNKNOWN" } } });
  return { outcomes: new Array<Outcome>(votersPerCall).fill(unknown) };
}

function votersOf(call: number): string[] {
  return Array.from({ length: votersPerCall }, (_, i) => `voter-${call}-${i}`);
}

/** Every third vote has no key. */
function voteOf(voterId: string, index: number) {
  const key = createHash("sha256").update(voterId).digest().subarray(0, 16);
  return vote(voterId, index % 3 === 0 ? new Uint8Array() : key);
}

/** A small generator of numbers below a bound, the same for the same seed. */
function generator(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}
