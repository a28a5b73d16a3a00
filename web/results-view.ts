/** The results of one region: totals, contests, table of children. Keeps its elements and changes what changed. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Contest, ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import type { RegionTally, WatchTallyResponse } from "#proto/generated/urna/v1/tally_service_pb.js";
import { contestRow } from "./contest-view.ts";
import { element, placeFor, setText } from "./element.ts";
import { KeyedChildren } from "./keyed-children.ts";
import { formatClock, formatCount } from "./number-format.ts";
import { regionAddress } from "./page-address.ts";
import { RegionView } from "./region-view.ts";
import type { ContestResult } from "./results-model.ts";
import {
  contestResult,
  crumbsTo,
  lackingOf,
  regionRow,
  regionTitle,
  spokenSummary,
  standingOf,
  turnoutOf,
} from "./results-model.ts";

/** Contests with more options than this show only the leading ones in the table of regions. */
const columnsMax = 4;

/** Those who listen hear a summary at most this often, not every frame. */
const spokenEveryMs = 20_000;

/** "Ward 2" stands before "Ward 10". */
const byTitle = new Intl.Collator("en", { numeric: true });

export class ResultsView {
  readonly #definition: ElectionDefinition;
  readonly #contests = new KeyedChildren<ContestResult>(placeFor("contests"), ({ contestId }) => contestId, contestRow);
  readonly #regions = new RegionView(placeFor("regions"));
  readonly #contestSelect = placeFor("contest-select") as HTMLSelectElement;
  #shown: WatchTallyResponse | undefined;
  #spokenAtMs = Number.NEGATIVE_INFINITY;

  constructor(definition: ElectionDefinition) {
    this.#definition = definition;
    this.#contestSelect.replaceChildren(
      ...definition.contests.map(({ contestId, title }) => element("option", { value: contestId }, title || contestId)),
    );
    this.#contestSelect.addEventListener("change", () => {
      if (this.#shown !== undefined) this.show(this.#shown);
    });
  }

  /** Names the region at once; its numbers come with the first frame. */
  enter(regionId: string): void {
    const crumbs = crumbsTo(this.#definition, regionId);
    const electionTitle = this.#definition.title || this.#definition.electionId;
    const titles = crumbs.map(({ title }, depth) => (depth === 0 ? electionTitle : title));
    const links = crumbs.slice(0, -1).map((crumb, depth) => {
      return element("li", {}, element("a", { href: regionAddress(crumb.regionId) }, titles[depth] ?? ""));
    });
    const nav = placeFor("crumbs");
    nav.replaceChildren(element("ol", {}, ...links));
    nav.hidden = links.length === 0;
    setText(placeFor("title"), titles.at(-1) ?? electionTitle);
    document.title = [...titles].reverse().join(", ");
    this.#spokenAtMs = Number.NEGATIVE_INFINITY;
  }

  show(frame: WatchTallyResponse): void {
    const { region, cut } = frame;
    if (region === undefined || cut === undefined) return;
    this.#shown = frame;
    placeFor("results").hidden = false;
    const standing = standingOf(cut);
    setText(placeFor("standing"), standing.text);
    placeFor("standing").className = `badge ${standing.tone}`;
    setText(placeFor("as-of"), cut.asOf === undefined ? "" : `as of ${formatClock(timestampDate(cut.asOf))}`);
    placeFor("sealed").hidden = !cut.sealed;
    const lacking = lackingOf(cut);
    placeFor("lacking").hidden = lacking === undefined;
    setText(placeFor("lacking"), lacking ?? "");
    showTotals(region);
    const contests = cut.sealed ? [] : this.#contestsOf(region);
    this.#contests.show(contests);
    this.#showChildren(frame, cut.sealed);
    this.#speak(region, contests);
  }

  #contestsOf(region: RegionTally): ContestResult[] {
    return this.#definition.contests.flatMap((contest) => {
      const counted = region.contests.find(({ contestId }) => contestId === contest.contestId);
      return counted === undefined ? [] : [{ ...contestResult(contest, counted), title: this.#titleOf(contest) }];
    });
  }

  #showChildren({ region, children }: WatchTallyResponse, sealed: boolean): void {
    const contest = sealed ? undefined : this.#chosenContest();
    const columns = contest === undefined ? [] : columnsOf(contest, region);
    const optionIds = columns.map(({ optionId }) => optionId);
    const rows = children.map((child) => regionRow(child, contest, optionIds));
    rows.sort((a, b) => byTitle.compare(a.title, b.title));
    placeFor("contest-choice").hidden = sealed || children.length === 0 || this.#definition.contests.length < 2;
    this.#regions.show({
      caption: contest === undefined ? "Ballots by region" : `${this.#titleOf(contest)} by region`,
      columns: columns.map(({ title, optionId }) => title || optionId),
      withTurnout: children.some(({ eligibleVoters }) => eligibleVoters !== undefined),
      withLeader: contest !== undefined,
      rows,
    });
  }

  /** A contest that is the whole election need not say its name again. */
  #titleOf({ title, contestId }: Contest): string {
    return title === this.#definition.title ? "Votes" : title || contestId;
  }

  #chosenContest(): Contest | undefined {
    const { contests } = this.#definition;
    return contests.find(({ contestId }) => contestId === this.#contestSelect.value) ?? contests[0];
  }

  #speak(region: RegionTally, contests: readonly ContestResult[]): void {
    if (performance.now() - this.#spokenAtMs < spokenEveryMs) return;
    this.#spokenAtMs = performance.now();
    setText(placeFor("spoken"), spokenSummary(region, regionTitle(region.regionId, region.title), contests));
  }
}

function showTotals(region: RegionTally): void {
  setText(placeFor("ballots"), formatCount(region.ballots));
  const turnout = turnoutOf(region);
  placeFor("turnout-total").hidden = turnout === undefined;
  setText(placeFor("turnout"), turnout ?? "");
  setText(placeFor("eligible"), `of ${formatCount(region.eligibleVoters ?? 0n)} eligible`);
}

/** All options as on the ballot, so that columns stand still; of many only the leading ones. */
function columnsOf(contest: Contest, region: RegionTally | undefined): { title: string; optionId: string }[] {
  if (contest.options.length <= columnsMax) return [...contest.options];
  const counted = region?.contests.find(({ contestId }) => contestId === contest.contestId);
  return contestResult(contest, counted).options.slice(0, columnsMax);
}
