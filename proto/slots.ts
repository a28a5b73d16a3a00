/** Which shard a nullifier belongs to: slot = its first 14 bits, and the shard map gives ranges of slots to shards. */
import { createHash } from "node:crypto";
import { slotCount } from "#proto/limits.ts";

/** First and last slot, both included. */
export type SlotRange = readonly [first: number, last: number];

/** The slot of the nullifier that starts at `offset` in `bytes`. */
export function slotOf(bytes: Uint8Array, offset = 0): number {
  const high = bytes[offset];
  const low = bytes[offset + 1];
  if (high === undefined || low === undefined) throw new RangeError("slotOf: no nullifier at this offset");
  return (high << 6) | (low >> 2);
}

/** Its first bits are the slot whose owner is the election's home, as a nullifier's are for a vote. */
export function homeSlotSource(electionId: string): Buffer {
  return createHash("sha256").update(electionId).digest();
}

/** The ranges of a fresh deployment: contiguous, in shard order, as even as they can be. */
export function evenSlotRanges(shardCount: number): SlotRange[] {
  if (!Number.isInteger(shardCount) || shardCount < 1 || shardCount > slotCount) {
    throw new RangeError(`evenSlotRanges: ${shardCount} is not a number of shards between 1 and ${slotCount}`);
  }
  return Array.from({ length: shardCount }, (_, shard) => [
    Math.floor((shard * slotCount) / shardCount),
    Math.floor(((shard + 1) * slotCount) / shardCount) - 1,
  ]);
}

/** A table from slot to shard; throws unless every slot has exactly one owner. */
export function slotTable(owners: readonly { shardId: number; slots: readonly SlotRange[] }[]): Uint16Array {
  const unowned = 0xffff;
  const table = new Uint16Array(slotCount).fill(unowned);
  for (const { shardId, slots } of owners) {
    for (const [first, last] of slots) {
      for (let slot = first; slot <= last; slot++) {
        if (table[slot] !== unowned) throw new Error(`shard map: slot ${slot} has two owners`);
        table[slot] = shardId;
      }
    }
  }
  const orphan = table.indexOf(unowned);
  if (orphan !== -1) throw new Error(`shard map: slot ${orphan} has no owner`);
  return table;
}
