/** What a frame says, in the words and numbers that the page shows. No DOM here. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Contest, ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import type { ContestCount, RegionTally, TallyCut } from "#proto/generated/urna/v1/tally_service_pb.js";
import { formatClock, formatCount, formatShare, fractionOf } from "./number-format.ts";

export type OptionResult = {
  readonly optionId: string;
  readonly title: string;
  readonly count: string;
  readonly share: string;
  /** Of all selections made in the contest, between 0 and 1. */
  readonly fraction: number;
  /** Place on the ballot: an option keeps its colour when the order changes. */
  readonly place: number;
};

export type ContestResult = {
  readonly contestId: string;
  readonly title: string;
  /** Most votes first; equal ones as on the ballot. */
  readonly options: readonly OptionResult[];
  readonly undervotes: string;
  readonly selectionsMax: number;
};

export function contestResult(contest: Contest, counted: ContestCount | undefined): ContestResult {
  const counts = optionCounts(counted);
  const total = selectionsMade(counted);
  const options = contest.options.map(({ optionId, title }, place) => {
    const count = counts.get(optionId) ?? 0n;
    return { optionId, title: title || optionId, count, place };
  });
  options.sort((a, b) => (a.count === b.count ? a.place - b.place : a.count > b.count ? -1 : 1));
  return {
    contestId: contest.contestId,
    title: contest.title || contest.contestId,
    options: options.map(({ optionId, title, count, place }) => ({
      optionId,
      title,
      count: formatCount(count),
      share: formatShare(count, total),
      fraction: fractionOf(count, total),
      place,
    })),
    undervotes: formatCount(counted?.undervotes ?? 0n),
    selectionsMax: Math.max(1, contest.maxSelections),
  };
}

export type RegionRow = {
  readonly regionId: string;
  readonly title: string;
  readonly ballots: string;
  readonly turnout: string | undefined;
  /** How each of the asked options fares, in their order; shares are "–" without a vote. */
  readonly options: readonly { readonly count: string; readonly share: string }[];
  readonly leader: string;
};

/** A row of the table of children: how the given options of one contest fare there. */
export function regionRow(region: RegionTally, contest: Contest | undefined, optionIds: readonly string[]): RegionRow {
  const counted = region.contests.find(({ contestId }) => contestId === contest?.contestId);
  const counts = optionCounts(counted);
  const total = selectionsMade(counted);
  const best = contest === undefined ? undefined : contestResult(contest, counted).options[0];
  return {
    regionId: region.regionId,
    title: regionTitle(region.regionId, region.title),
    ballots: formatCount(region.ballots),
    turnout: turnoutOf(region),
    options: optionIds.map((optionId) => {
      const count = counts.get(optionId) ?? 0n;
      return { count: formatCount(count), share: formatShare(count, total) };
    }),
    leader: best === undefined || total === 0n ? "–" : `${best.title} ${best.share}`,
  };
}

/** "71.2 %", or undefined where the number of eligible voters is not known. */
export function turnoutOf(region: RegionTally): string | undefined {
  return region.eligibleVoters === undefined ? undefined : formatShare(region.ballots, region.eligibleVoters);
}

export function regionTitle(regionId: string, title: string): string {
  if (title !== "") return title;
  return regionId === "" ? "All regions" : (regionId.split("/").at(-1) ?? regionId);
}

export type Crumb = { readonly regionId: string; readonly title: string };

/** The way from the root to the region, both included. */
export function crumbsTo(definition: ElectionDefinition, regionId: string): Crumb[] {
  const titles = new Map(definition.regions.map((region) => [region.regionId, region.title]));
  const parts = regionId === "" ? [] : regionId.split("/");
  return ["", ...parts.map((_, depth) => parts.slice(0, depth + 1).join("/"))].map((id) => ({
    regionId: id,
    title: regionTitle(id, titles.get(id) ?? ""),
  }));
}

export type Standing = { readonly tone: "quiet" | "live" | "sealed" | "done"; readonly text: string };

/** Where the election stands, in one or two words. */
export function standingOf(cut: Pick<TallyCut, "state" | "final" | "sealed">): Standing {
  if (cut.final) return { tone: "done", text: "Final" };
  switch (cut.state) {
    case ElectionState.OPEN:
      return cut.sealed ? { tone: "sealed", text: "Open, results sealed" } : { tone: "live", text: "Open" };
    case ElectionState.CLOSED:
      return { tone: "quiet", text: "Closed, not yet final" };
    default:
      return { tone: "quiet", text: "Not open yet" };
  }
}

/** What the counts lack, in one sentence; undefined when every shard is read. */
export function lackingOf(cut: Pick<TallyCut, "missing">): string | undefined {
  if (cut.missing.length === 0) return undefined;
  const shards = cut.missing.map(({ shardId, since }) => {
    return `shard ${shardId} since ${since === undefined ? "the start" : formatClock(timestampDate(since))}`;
  });
  return `Newer votes are lacking: ${shards.join(", ")}.`;
}

/** One sentence for those who listen instead of looking. */
export function spokenSummary(region: RegionTally, title: string, contests: readonly ContestResult[]): string {
  const noun = region.ballots === 1n ? "ballot" : "ballots";
  const ballots = `${formatCount(region.ballots)} ${noun} counted in ${title}.`;
  const leaders = contests.slice(0, 3).flatMap((contest) => {
    const [first] = contest.options;
    return first === undefined || first.count === "0" ? [] : [`${contest.title}: ${first.title} ${first.share}.`];
  });
  return [ballots, ...leaders].join(" ");
}

function optionCounts(counted: ContestCount | undefined): Map<string, bigint> {
  return new Map(counted?.options.map(({ optionId, count }) => [optionId, count]));
}

function selectionsMade(counted: ContestCount | undefined): bigint {
  return counted?.options.reduce((sum, { count }) => sum + count, 0n) ?? 0n;
}
