/** What is wrong with the checkpoints of a shard, in sentences for people. */
import type { SignedCheckpoint } from "./signed-checkpoint.ts";
import type { AcceptedLoss, WitnessRecord } from "./witness-record.ts";

/** Holds until a checkpoint comes that agrees with all that was kept. */
export type Fault =
  | { readonly kind: "unverified"; readonly because: string }
  | {
      readonly kind: "shorter" | "not-continued" | "unproved";
      readonly claim: SignedCheckpoint;
      readonly than: SignedCheckpoint;
    };

/** Of the reasons to refuse a checkpoint, two roots of one size is none that passes: the record keeps it. */
export type FaultKind = Fault["kind"] | "two-roots";

export function findingsOf(record: WitnessRecord | undefined, fault: Fault | undefined): string[] {
  return [
    ...(record?.twoRoots === undefined ? [] : [twoRootsText(record.twoRoots[0])]),
    ...(fault === undefined ? [] : [faultText(fault)]),
    ...(record?.losses ?? []).map(lossText),
  ];
}

export function faultText(fault: Fault): string {
  switch (fault.kind) {
    case "unverified":
      return `its checkpoint does not verify with the key known for this shard: ${fault.because}`;
    case "shorter":
      return fault.claim.generation < fault.than.generation
        ? `it signs generation ${fault.claim.generation} of its log again, after generation ${fault.than.generation}`
        : `its log is shorter than a checkpoint it has signed: ${missing(fault.than.size - fault.claim.size)}`;
    case "not-continued":
      return `its log of ${leaves(fault.claim.size)} does not continue the ${leaves(fault.than.size)} it had signed before`;
    case "unproved":
      return `it does not prove that its log of ${leaves(fault.claim.size)} continues the ${leaves(fault.than.size)} it had signed before`;
  }
}

function twoRootsText({ size }: SignedCheckpoint): string {
  return `it has signed two roots for one size of its log: ${leaves(size)}`;
}

/** The log may have grown again before it was first seen, so what it is short of then is the least that it lost. */
function lossText({ last, next }: AcceptedLoss): string {
  const lost = last.size - next.size;
  const amount = lost > 0 ? `at least ${missing(lost)}` : "some may be missing";
  return `its log began anew as generation ${next.generation} after a loss; the one before had ${leaves(last.size)}, of which ${amount}`;
}

function leaves(count: number): string {
  return count === 1 ? "1 leaf" : `${count.toLocaleString("en-US")} leaves`;
}

function missing(count: number): string {
  return `${leaves(count)} ${count === 1 ? "is" : "are"} missing`;
}
