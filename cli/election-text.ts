/** Elections for people. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Contest, Election, ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionState, KeyKind, ResultsVisibility } from "#proto/generated/urna/v1/election_pb.js";
import { formatCount } from "./number-format.ts";
import { plainText, textTable } from "./text-table.ts";

export function stateText(state: ElectionState): string {
  switch (state) {
    case ElectionState.CREATED:
      return "created";
    case ElectionState.OPEN:
      return "open";
    case ElectionState.CLOSED:
      return "closed";
    default:
      return "unknown";
  }
}

export function electionTable(elections: readonly Election[]): string[] {
  if (elections.length === 0) return ['no elections; create one with "urna election create FILE"'];
  return textTable(
    [{ head: "ELECTION" }, { head: "STATE" }, { head: "CREATED" }, { head: "TITLE", flexible: true }],
    elections.map((election) => [
      election.definition?.electionId ?? "",
      stateText(election.state),
      timeText(election.createdAt),
      election.definition?.title ?? "",
    ]),
  );
}

/** Everything but the list of regions, which may be thousands. */
export function electionLines(election: Election): string[] {
  const definition = election.definition;
  if (definition === undefined) throw new Error("the router answered without a definition");
  return [
    `${plainText(definition.title || definition.electionId)}`,
    ...factLines(election, definition),
    "",
    ...definition.contests.flatMap(contestLines),
    ...shardLines(election),
  ];
}

function factLines(election: Election, definition: ElectionDefinition): string[] {
  const facts: [string, string][] = [
    ["id", definition.electionId],
    ["state", stateText(election.state)],
    ["keyed by", definition.keyKind === KeyKind.BALLOT ? "ballot (--ballot)" : "voter (--voter)"],
    ["results", definition.results === ResultsVisibility.LIVE ? "live" : "sealed until the close"],
    ["regions", `${formatCount(definition.regions.length)}, for example ${definition.regions.at(-1)?.regionId ?? ""}`],
    ["created", timeText(election.createdAt)],
    ["opens", timeText(definition.opensAt)],
    ["closes", timeText(definition.closesAt)],
    ["definition", Buffer.from(election.definitionHash).toString("hex")],
  ];
  return facts.filter(([, value]) => value !== "").map(([name, value]) => `  ${name.padEnd(10)}  ${plainText(value)}`);
}

function contestLines(contest: Contest): string[] {
  const most = Math.max(1, contest.maxSelections);
  const rule = most === 1 ? "select one" : `select up to ${most}`;
  const where = contest.regionIds.length === 0 ? "" : `, in ${contest.regionIds.join(", ")}`;
  const head = `  contest ${contest.contestId} (${rule}${where})  ${contest.title}`;
  const options = contest.options.map(({ optionId, title }) => `    ${optionId.padEnd(20)}  ${title}`.trimEnd());
  return [head, ...options].map(plainText);
}

function shardLines({ shards }: Election): string[] {
  if (shards.length === 0) return [];
  const batch = (number: bigint) => (number === 0n ? "-" : formatCount(number));
  const rows = shards.map((shard) => [
    String(shard.shardId),
    stateText(shard.state),
    batch(shard.openBatch),
    batch(shard.closeBatch),
  ]);
  const columns = [
    { head: "SHARD", align: "right" as const },
    { head: "STATE" },
    { head: "OPENED IN BATCH", align: "right" as const },
    { head: "CLOSED IN BATCH", align: "right" as const },
  ];
  return ["", ...textTable(columns, rows)];
}

/** "2026-11-03 20:00:00 UTC", or nothing. */
function timeText(time: Timestamp | undefined): string {
  if (time === undefined) return "";
  return `${timestampDate(time).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
