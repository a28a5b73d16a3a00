/**
 * Votes as ghz's data templates. Every vote is of a voter nobody has heard of: ghz numbers its calls, and a call numbers its
 * votes. A template that begins with "[" must be JSON before it is filled in, so its strings are in back quotes.
 */
import { fileContestId } from "#bench/election-file.ts";
import { loadOptions, loadRegions } from "#bench/workload.ts";

export type GhzCall = "CastVote" | "CastVoteBatch" | "CastVotes";

export type VoteTemplate = {
  readonly electionId: string;
  /** What all voter IDs begin with: another one for each run of ghz in one election. */
  readonly voterPrefix: string;
  /** 16 random characters of base64, the beginning of all idempotency keys. */
  readonly keyPrefix: string;
};

/** What ghz is given as data, filled in anew for each call. */
export function voteData(call: GhzCall, votesPerCall: number, template: VoteTemplate): string {
  const votes = Array.from({ length: votesPerCall }, (_, n) => vote(template, n, votesPerCall));
  switch (call) {
    case "CastVote":
      return `{"vote":${votes[0]}}`;
    case "CastVoteBatch":
      return `{"votes":[${votes.join(",\n")}]}`;
    case "CastVotes":
      return `[${votes.map((text, n) => `{"sequence":"${n + 1}","vote":${text}}`).join(",\n")}]`;
  }
}

/**
 * The n-th vote of a call. Where a call has several, they are in all regions, and one call's are like another's; where it has
 * one, its number says which region.
 */
function vote({ electionId, voterPrefix, keyPrefix }: VoteTemplate, n: number, votesPerCall: number): string {
  const callNumber = "{{printf `%016d` .RequestNumber}}";
  const own = String(n).padStart(4, "0");
  const alone = votesPerCall === 1;
  return JSON.stringify({
    electionId,
    voterId: `${voterPrefix}-{{.RequestNumber}}${alone ? "" : `-${n}`}`,
    regionId: alone ? regionByNumber : loadRegions[n % loadRegions.length],
    selections: [{ contestId: fileContestId, optionIds: [loadOptions[n % loadOptions.length]] }],
    idempotencyKey: `${keyPrefix}${callNumber}${own}`,
  });
}

/** One in so many regions: a list of all of them would be parsed by ghz for each vote. */
const regionsOfSingles = 10;
const everyNth = Math.floor(loadRegions.length / regionsOfSingles);
const someRegions = loadRegions.filter((_, n) => n % everyNth === 0).map((region) => `\`${region}\``);
const regionByNumber = `{{index (list ${someRegions.join(" ")}) (mod .RequestNumber ${someRegions.length})}}`;
