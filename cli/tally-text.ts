/** A tally for people. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import type {
  ContestCount,
  RegionTally,
  TallyCut,
  WatchTallyResponse,
} from "#proto/generated/urna/v1/tally_service_pb.js";
import { formatClock, formatCount, formatNumberOf, formatShare } from "./number-format.ts";
import { lineWidthMax, plainText, textTable } from "./text-table.ts";

/** GetTallyResponse has the same fields. */
export type Tally = Pick<WatchTallyResponse, "electionId" | "cut" | "region" | "children">;

/** Options beyond this are only in the list above the table of regions. */
const tableOptionsMax = 3;
const barWidth = 24;

/** Totals, contests, and a line a child region; titles come from the definition where it is known. */
export function tallyLines(tally: Tally, definition: ElectionDefinition | undefined): string[] {
  const region = tally.region;
  if (region === undefined) throw new Error("the tally answered without a region");
  const title = region.regionId === "" ? definition?.title || tally.electionId : region.title || region.regionId;
  const [table] = region.contests;
  return [
    `${plainText(title)}  (${standingText(tally.cut)})`,
    ballotsLine(region),
    ...region.contests.flatMap((contest) => contestLines(contest, definition)),
    ...(tally.children.length === 0 ? [] : ["", ...childLines(tally.children, table, definition)]),
    "",
    ...cutLines(tally.cut),
  ];
}

/** The time of a tally, for the beginning of a line. */
export function tallyClock({ cut }: Tally): string {
  return cut?.asOf === undefined ? "--:--:--" : formatClock(timestampDate(cut.asOf));
}

/** One line, for a log; the same while nothing has changed. */
export function tallyLine({ region, cut }: Tally): string {
  const [contest] = region?.contests ?? [];
  const made = selectionsMade(contest);
  const leaders = ordered(contest)
    .slice(0, tableOptionsMax)
    .map(({ optionId, count }) => `${optionId} ${formatCount(count)} (${formatShare(count, made)})`);
  const findings = BigInt(cut?.auditFindings.length ?? 0);
  const alarm = findings === 0n ? [] : [formatNumberOf(findings, "audit finding").toUpperCase()];
  return [standingText(cut), formatNumberOf(region?.ballots ?? 0n, "ballot"), ...leaders, ...alarm].join("  ");
}

function standingText(cut: TallyCut | undefined): string {
  if (cut?.final === true) return "final";
  switch (cut?.state) {
    case ElectionState.OPEN:
      return cut.sealed ? "open, results sealed until the close" : "open";
    case ElectionState.CLOSED:
      return "closed, not yet final";
    default:
      return "not open yet";
  }
}

function ballotsLine({ ballots, eligibleVoters }: RegionTally): string {
  const turnout =
    eligibleVoters === undefined
      ? ""
      : `, ${formatShare(ballots, eligibleVoters)} of ${formatCount(eligibleVoters)} eligible voters`;
  return `${formatNumberOf(ballots, "ballot")} counted${turnout}`;
}

function contestLines(counted: ContestCount, definition: ElectionDefinition | undefined): string[] {
  const made = selectionsMade(counted);
  const contest = definition?.contests.find(({ contestId }) => contestId === counted.contestId);
  const rows = ordered(counted).map(({ optionId, count }) => [
    contest?.options.find((option) => option.optionId === optionId)?.title || optionId,
    formatCount(count),
    formatShare(count, made),
    bar(count, made),
  ]);
  const undervotes = ["(undervotes)", formatCount(counted.undervotes), "", ""];
  const columns = [
    { head: contest?.title || counted.contestId, flexible: true },
    { head: "VOTES", align: "right" as const },
    { head: "SHARE", align: "right" as const },
    { head: "" },
  ];
  return ["", ...textTable(columns, [...rows, undervotes])];
}

function childLines(
  children: readonly RegionTally[],
  shown: ContestCount | undefined,
  definition: ElectionDefinition | undefined,
): string[] {
  const contest = definition?.contests.find(({ contestId }) => contestId === shown?.contestId);
  const options = ordered(shown).slice(0, tableOptionsMax);
  const titles = options.map(
    ({ optionId }) => contest?.options.find((o) => o.optionId === optionId)?.title || optionId,
  );
  const columns = [
    { head: "REGION", flexible: true },
    { head: "BALLOTS", align: "right" as const },
    ...titles.map((head) => ({ head: head.slice(0, optionHeadMax), align: "right" as const })),
  ];
  const rows = children.map((child) => {
    const counted = child.contests.find(({ contestId }) => contestId === shown?.contestId);
    const counts = new Map(counted?.options.map(({ optionId, count }) => [optionId, count]));
    const shares = options.map(({ optionId }) => formatShare(counts.get(optionId) ?? 0n, selectionsMade(counted)));
    return [child.regionId, formatCount(child.ballots), ...shares];
  });
  return textTable(columns, rows);
}

const optionHeadMax = 14;

/** What the counts are counts of (I7), and what they lack. */
function cutLines(cut: TallyCut | undefined): string[] {
  if (cut === undefined) return [];
  const clock = cut.asOf === undefined ? "" : ` at ${formatClock(timestampDate(cut.asOf))}`;
  const vector = cut.vector.map(({ shardId, batch }) => `shard ${shardId} to batch ${formatCount(batch)}`).join(", ");
  const missing = cut.missing.map(({ shardId, since }) => {
    const when = since === undefined ? "the start" : formatClock(timestampDate(since));
    return `newer votes of shard ${shardId} are lacking since ${when}`;
  });
  return [wrap(`cut${clock}: ${vector || "no shard has been read yet"}`), ...missing, ...auditLines(cut)];
}

/** How far an auditor has verified the counts, and what it found; nothing where none follows. */
function auditLines({ verifiedThrough, auditSilentSince, auditFindings }: TallyCut): string[] {
  const reached = verifiedThrough.map(({ shardId, batch }) => `shard ${shardId} through batch ${formatCount(batch)}`);
  const silence =
    auditSilentSince === undefined ? "" : ` (no word since ${formatClock(timestampDate(auditSilentSince))})`;
  const isFollowed = reached.length > 0 || silence !== "";
  return [
    ...(isFollowed ? [wrap(`verified${silence}: ${reached.join(", ") || "nothing yet"}`)] : []),
    ...auditFindings.map((finding) => wrap(`AUDIT: ${plainText(finding)}`)),
  ];
}

function wrap(text: string): string {
  return text.length <= lineWidthMax
    ? text
    : text.replace(new RegExp(`(.{1,${lineWidthMax}})(?: |$)`, "g"), "$1\n").trimEnd();
}

function bar(count: bigint, total: bigint): string {
  return total === 0n ? "" : "#".repeat(Number((count * BigInt(barWidth)) / total));
}

/** Most votes first; equal ones as on the ballot. */
function ordered(counted: ContestCount | undefined) {
  return [...(counted?.options ?? [])].sort((a, b) => (a.count === b.count ? 0 : a.count > b.count ? -1 : 1));
}

function selectionsMade(counted: ContestCount | undefined): bigint {
  return counted?.options.reduce((sum, { count }) => sum + count, 0n) ?? 0n;
}
