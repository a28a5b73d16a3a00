/**
 * What every program must derive alike from an election's definition: the ordinals of leaf regions, the cells that are
 * counted, the canonical form of a ballot, and whether the definition is valid at all.
 *
 * Cells are what a ballot adds to, in one flat list: cell 0 counts ballots; then, contest by contest, one cell for each
 * option and one for undervotes. A canonical ballot is the list of its selected option cells, ascending, as big-endian
 * uint16. Regions are the leaves of the tree in definition order.
 */
import { createHash } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { ancestorsOf, checkDefinition } from "#proto/definition-check.ts";
import type { Contest, ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionDefinitionSchema } from "#proto/generated/urna/v1/election_pb.js";

export const ballotsCell = 0;

export type ContestShape = {
  readonly contestId: string;
  readonly optionCells: ReadonlyMap<string, number>;
  readonly optionIds: readonly string[];
  readonly firstCell: number;
  readonly undervoteCell: number;
  readonly selectionsMax: number;
  /** By leaf ordinal: 1 where the contest is on the ballot. */
  readonly onBallot: Uint8Array;
};

/** What a cell counts. */
export type CellMeaning =
  | { readonly kind: "ballots" }
  | { readonly kind: "option"; readonly contestId: string; readonly optionId: string }
  | { readonly kind: "undervotes"; readonly contestId: string };

export type ElectionShape = {
  readonly definition: ElectionDefinition;
  readonly definitionHash: Buffer;
  /** Leaf region ids, by ordinal. */
  readonly leaves: readonly string[];
  readonly leafOrdinals: ReadonlyMap<string, number>;
  /** Every region id that is not a leaf; the root is "". */
  readonly branches: ReadonlySet<string>;
  readonly contests: ReadonlyMap<string, ContestShape>;
  readonly cellMeanings: readonly CellMeaning[];
};

/** SHA-256 of the serialised definition: 32 bytes. Unknown fields are not part of it. */
export function definitionHash(definition: ElectionDefinition): Buffer {
  return createHash("sha256")
    .update(toBinary(ElectionDefinitionSchema, definition, { writeUnknownFields: false }))
    .digest();
}

/** Throws RejectionError INVALID_ELECTION when the definition is not valid. */
export function electionShape(definition: ElectionDefinition): ElectionShape {
  checkDefinition(definition);
  const branches = new Set<string>([""]);
  for (const { regionId } of definition.regions) for (const parent of ancestorsOf(regionId)) branches.add(parent);
  const leaves = definition.regions.map(({ regionId }) => regionId).filter((regionId) => !branches.has(regionId));
  const cellMeanings: CellMeaning[] = [{ kind: "ballots" }];
  const contests = new Map<string, ContestShape>();
  for (const contest of definition.contests) {
    contests.set(contest.contestId, contestShape(contest, leaves, cellMeanings.length));
    for (const { optionId } of contest.options) {
      cellMeanings.push({ kind: "option", contestId: contest.contestId, optionId });
    }
    cellMeanings.push({ kind: "undervotes", contestId: contest.contestId });
  }
  return {
    definition,
    definitionHash: definitionHash(definition),
    leaves,
    leafOrdinals: new Map(leaves.map((regionId, ordinal) => [regionId, ordinal])),
    branches,
    contests,
    cellMeanings,
  };
}

function contestShape(contest: Contest, leaves: readonly string[], firstCell: number): ContestShape {
  const optionIds = contest.options.map(({ optionId }) => optionId);
  const scopes = new Set(contest.regionIds);
  const covers = (leaf: string) =>
    scopes.size === 0 || scopes.has(leaf) || ancestorsOf(leaf).some((parent) => scopes.has(parent));
  return {
    contestId: contest.contestId,
    optionIds,
    optionCells: new Map(optionIds.map((optionId, i) => [optionId, firstCell + i])),
    firstCell,
    undervoteCell: firstCell + optionIds.length,
    selectionsMax: Math.max(1, contest.maxSelections),
    onBallot: Uint8Array.from(leaves, (leaf) => (covers(leaf) ? 1 : 0)),
  };
}

export function encodeBallot(selectedCells: readonly number[]): Buffer {
  const sorted = [...selectedCells].sort((a, b) => a - b);
  const ballot = Buffer.alloc(sorted.length * 2);
  sorted.forEach((cell, i) => {
    ballot.writeUInt16BE(cell, i * 2);
  });
  return ballot;
}

export function decodeBallot(ballot: Uint8Array): number[] {
  if (ballot.length % 2 !== 0) throw new RangeError("decodeBallot: a canonical ballot has an even number of bytes");
  const cells: number[] = [];
  for (let i = 0; i < ballot.length; i += 2) cells.push(((ballot[i] ?? 0) << 8) | (ballot[i + 1] ?? 0));
  return cells;
}

/**
 * What one ballot cast in a leaf region adds: each pair is (cell, n). Selected options count 1; a contest on the ballot
 * counts each selection that was allowed and not made as an undervote. Shard, tally and recount all count with it (I5, I7).
 */
export function ballotCounts(shape: ElectionShape, leafOrdinal: number, ballot: Uint8Array): Map<number, number> {
  const counts = new Map<number, number>([[ballotsCell, 1]]);
  const selected = decodeBallot(ballot);
  for (const cell of selected) counts.set(cell, 1);
  for (const contest of shape.contests.values()) {
    if (contest.onBallot[leafOrdinal] !== 1) continue;
    const made = selected.filter((cell) => cell >= contest.firstCell && cell < contest.undervoteCell).length;
    if (made < contest.selectionsMax) counts.set(contest.undervoteCell, contest.selectionsMax - made);
  }
  return counts;
}
