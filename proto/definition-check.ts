/** Whether an election's definition is valid. Every refusal names what is wrong and where. */
import { toBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Contest, ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ContestKind, ElectionDefinitionSchema, KeyKind } from "#proto/generated/urna/v1/election_pb.js";
import { contestsMax, definitionBytesMax, optionsPerContestMax, regionDepthMax, regionsMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

const idPattern = /^[a-z0-9-]{1,64}$/;
const titleLengthMax = 256;

/** All proper prefixes of a region's path, the root "" included, nearest last. */
export function ancestorsOf(regionId: string): string[] {
  const parts = regionId.split("/");
  return parts.map((_, depth) => parts.slice(0, depth).join("/"));
}

/** Throws RejectionError INVALID_ELECTION naming the first fault. */
export function checkDefinition(definition: ElectionDefinition): void {
  demand(idPattern.test(definition.electionId), `election_id "${definition.electionId}" is not [a-z0-9-]{1,64}`);
  checkTitle("election", definition.title);
  demand(
    definition.keyKind === KeyKind.VOTER || definition.keyKind === KeyKind.BALLOT,
    "key_kind must be KEY_KIND_VOTER or KEY_KIND_BALLOT",
  );
  const regionIds = checkRegions(definition);
  checkContests(definition.contests, regionIds);
  checkTimes(definition.opensAt, definition.closesAt);
  const bytes = toBinary(ElectionDefinitionSchema, definition).length;
  demand(bytes <= definitionBytesMax, `the definition has ${bytes} bytes; at most ${definitionBytesMax} are allowed`);
}

function demand(condition: boolean, message: string): asserts condition {
  if (!condition) throw new RejectionError("INVALID_ELECTION", message);
}

function checkTitle(what: string, title: string): void {
  demand(title.length <= titleLengthMax, `the title of ${what} is longer than ${titleLengthMax} characters`);
}

/** All region ids, branches included. */
function checkRegions(definition: ElectionDefinition): Set<string> {
  const { regions } = definition;
  demand(regions.length > 0, "the election has no regions; give at least one");
  demand(regions.length <= regionsMax, `${regions.length} regions; at most ${regionsMax} are allowed`);
  const listed = new Set<string>();
  const branches = new Set<string>([""]);
  for (const { regionId, title } of regions) {
    const parts = regionId.split("/");
    demand(
      parts.length <= regionDepthMax && parts.every((part) => idPattern.test(part)),
      `region_id "${regionId}" is not a path of at most ${regionDepthMax} parts [a-z0-9-]{1,64}`,
    );
    demand(!listed.has(regionId), `region_id "${regionId}" is there twice`);
    checkTitle(`region "${regionId}"`, title);
    listed.add(regionId);
    for (const parent of ancestorsOf(regionId)) branches.add(parent);
  }
  for (const { regionId, eligibleVoters } of regions) {
    demand(
      eligibleVoters === undefined || !branches.has(regionId),
      `region "${regionId}" is not a leaf: give eligible_voters on leaves only`,
    );
  }
  return new Set([...listed, ...branches]);
}

function checkContests(contests: readonly Contest[], regionIds: ReadonlySet<string>): void {
  demand(contests.length > 0, "the election has no contests; give at least one");
  demand(contests.length <= contestsMax, `${contests.length} contests; at most ${contestsMax} are allowed`);
  const seen = new Set<string>();
  for (const contest of contests) {
    const { contestId } = contest;
    demand(idPattern.test(contestId), `contest_id "${contestId}" is not [a-z0-9-]{1,64}`);
    demand(!seen.has(contestId), `contest_id "${contestId}" is there twice`);
    seen.add(contestId);
    checkContest(contest, regionIds);
  }
}

function checkContest(contest: Contest, regionIds: ReadonlySet<string>): void {
  const { contestId, options } = contest;
  demand(contest.kind === ContestKind.PLURALITY, `contest "${contestId}": kind must be CONTEST_KIND_PLURALITY`);
  checkTitle(`contest "${contestId}"`, contest.title);
  demand(options.length > 0, `contest "${contestId}" has no options`);
  demand(
    options.length <= optionsPerContestMax,
    `contest "${contestId}": ${options.length} options; at most ${optionsPerContestMax} are allowed`,
  );
  const seen = new Set<string>();
  for (const { optionId, title } of options) {
    demand(idPattern.test(optionId), `contest "${contestId}": option_id "${optionId}" is not [a-z0-9-]{1,64}`);
    demand(!seen.has(optionId), `contest "${contestId}": option_id "${optionId}" is there twice`);
    checkTitle(`option "${optionId}"`, title);
    seen.add(optionId);
  }
  demand(
    contest.maxSelections <= options.length,
    `contest "${contestId}": max_selections ${contest.maxSelections} is more than its ${options.length} options`,
  );
  for (const regionId of contest.regionIds) {
    demand(
      regionIds.has(regionId),
      `contest "${contestId}": region "${regionId}" is not one of the election's regions`,
    );
  }
}

function checkTimes(opensAt: Timestamp | undefined, closesAt: Timestamp | undefined): void {
  if (opensAt === undefined || closesAt === undefined) return;
  demand(timestampMs(opensAt) < timestampMs(closesAt), "closes_at must be after opens_at");
}
