/**
 * An election's regions as a tree: for each region its direct children, the leaves below it, the contests on the ballots
 * of any of them, and how many voters are eligible. Made once for an election. Parents that no one listed exist all the
 * same, under the last part of their path.
 */
import { ancestorsOf } from "#proto/definition-check.ts";
import type { ContestShape, ElectionShape } from "#proto/election-shape.ts";

export type RegionNode = {
  readonly regionId: string;
  readonly title: string;
  /** Undefined unless known for every leaf below. */
  readonly eligibleVoters: bigint | undefined;
  /** In the order of the definition; none below a leaf. */
  readonly children: readonly RegionNode[];
  /** Ordinals of the leaves below; a leaf has itself. */
  readonly leaves: readonly number[];
  readonly contests: readonly ContestShape[];
};

/** A region while its leaves are still being gathered. */
type Draft = { readonly childIds: Set<string>; readonly leaves: number[] };

/** Every region by its id; the root is "". */
export function regionTree(shape: ElectionShape): ReadonlyMap<string, RegionNode> {
  const drafts = gather(shape);
  const titles = new Map(shape.definition.regions.map(({ regionId, title }) => [regionId, title]));
  const eligible = new Map(shape.definition.regions.map(({ regionId, eligibleVoters }) => [regionId, eligibleVoters]));
  const contestsOf = contestFinder(shape);
  const nodes = new Map<string, RegionNode>();
  const finish = (regionId: string, draft: Draft): RegionNode => {
    const node = {
      regionId,
      title: titles.get(regionId) || impliedTitle(shape, regionId),
      eligibleVoters: sumOfKnown(draft.leaves.map((ordinal) => eligible.get(shape.leaves[ordinal] ?? ""))),
      children: [...draft.childIds].map((childId) => finish(childId, draftOf(drafts, childId))),
      leaves: draft.leaves,
      contests: contestsOf(draft.leaves),
    };
    nodes.set(regionId, node);
    return node;
  };
  finish("", draftOf(drafts, ""));
  return nodes;
}

function gather(shape: ElectionShape): Map<string, Draft> {
  const drafts = new Map<string, Draft>([["", { childIds: new Set(), leaves: [] }]]);
  for (const { regionId } of shape.definition.regions) {
    const path = [...ancestorsOf(regionId), regionId];
    const ordinal = shape.leafOrdinals.get(regionId);
    path.forEach((id, depth) => {
      if (!drafts.has(id)) drafts.set(id, { childIds: new Set(), leaves: [] });
      const draft = draftOf(drafts, id);
      const childId = path[depth + 1];
      if (childId !== undefined) draft.childIds.add(childId);
      if (ordinal !== undefined) draft.leaves.push(ordinal);
    });
  }
  return drafts;
}

function draftOf(drafts: ReadonlyMap<string, Draft>, regionId: string): Draft {
  const draft = drafts.get(regionId);
  if (draft === undefined) throw new Error(`regionTree: "${regionId}" was not gathered`);
  return draft;
}

function impliedTitle(shape: ElectionShape, regionId: string): string {
  if (regionId === "") return shape.definition.title;
  return regionId.slice(regionId.lastIndexOf("/") + 1);
}

function sumOfKnown(values: readonly (bigint | undefined)[]): bigint | undefined {
  let sum = 0n;
  for (const value of values) {
    if (value === undefined) return undefined;
    sum += value;
  }
  return sum;
}

/** Regions with the same ballot share one list, so that 20,000 precincts do not hold 20,000 of them. */
function contestFinder(shape: ElectionShape): (leaves: readonly number[]) => readonly ContestShape[] {
  const contests = [...shape.contests.values()];
  const lists = new Map<string, readonly ContestShape[]>();
  return (leaves) => {
    const list = contests.filter(({ onBallot }) => leaves.some((ordinal) => onBallot[ordinal] === 1));
    const key = list.map(({ firstCell }) => firstCell).join();
    const known = lists.get(key);
    if (known === undefined) lists.set(key, list);
    return known ?? list;
  };
}
