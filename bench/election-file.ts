/** An election file: its definition, the counts that it says, and one ballot for every vote in it. */
import { readFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { create } from "@bufbuild/protobuf";
import { BallotCursor } from "#bench/ballot-order.ts";
import type { ElectionRow } from "#bench/election-rows.ts";
import { ballotsMax, ElectionFileError, readElectionRows, repeatedRowsWarning } from "#bench/election-rows.ts";
import { replayIdempotencyKey, voterIdPrefix } from "#bench/replay-identity.ts";
import { SlugNumbering, slug } from "#bench/slug.ts";
import { checkDefinition } from "#proto/definition-check.ts";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import {
  ContestKind,
  ElectionDefinitionSchema,
  KeyKind,
  ResultsVisibility,
} from "#proto/generated/urna/v1/election_pb.js";
import { RejectionError } from "#proto/rejections.ts";

export { ElectionFileError } from "#bench/election-rows.ts";

/** The one contest of an election file. */
export const fileContestId = "contest";

/** Titles longer than a definition allows are cut. */
const titleLengthMax = 256;

/** The ballots of one option in one leaf region. `voterIdPrefix` and an index from 0 make a voter id. */
export type BallotCell = {
  readonly regionId: string;
  readonly countyId: string;
  readonly optionId: string;
  readonly voterIdPrefix: string;
  readonly ballots: number;
};

export type ReplayBallot = {
  readonly voterId: string;
  readonly regionId: string;
  readonly optionId: string;
  readonly idempotencyKey: Uint8Array;
};

export type OptionCounts = ReadonlyMap<string, number>;

/** What the final tally must say. Every option is in every map, also with 0. */
export type ExpectedCounts = {
  readonly byOption: OptionCounts;
  readonly byCounty: ReadonlyMap<string, OptionCounts>;
  readonly byPrecinct: ReadonlyMap<string, OptionCounts>;
};

export type ElectionFileOptions = {
  /** Default: the slug of the file's name. */
  readonly electionId?: string;
  /** Default: the file's name without its extension. */
  readonly title?: string;
};

/** An election with its ballots. Nothing in it grows with the number of ballots. */
export class ElectionFile {
  readonly definition: ElectionDefinition;
  readonly cells: readonly BallotCell[];
  readonly ballotCount: number;
  readonly expected: ExpectedCounts;
  readonly warnings: readonly string[];

  constructor(definition: ElectionDefinition, cells: readonly BallotCell[], warnings: readonly string[]) {
    this.definition = definition;
    this.cells = cells;
    this.ballotCount = cells.reduce((sum, { ballots }) => sum + ballots, 0);
    this.expected = expectedCounts(definition, cells);
    this.warnings = warnings;
  }

  get electionId(): string {
    return this.definition.electionId;
  }

  get title(): string {
    return this.definition.title;
  }

  /** A walk over all ballots in the order of the replay. */
  cursor(): BallotCursor {
    return new BallotCursor(this.cells.map(({ ballots }) => ballots));
  }

  /** Every ballot, in the order of the replay. */
  *ballots(): Generator<ReplayBallot> {
    const cursor = this.cursor();
    const cell = new Uint32Array(1);
    const index = new Uint32Array(1);
    while (cursor.fill(cell, index) === 1) yield this.ballot(cell[0] ?? 0, index[0] ?? 0);
  }

  /** The ballot of this index (from 0) in the cell of this position in `cells`. */
  ballot(cell: number, index: number): ReplayBallot {
    const found = this.cells[cell];
    if (found === undefined || index >= found.ballots) throw new RangeError(`no ballot ${index} in cell ${cell}`);
    const voterId = found.voterIdPrefix + index;
    return {
      voterId,
      regionId: found.regionId,
      optionId: found.optionId,
      idempotencyKey: replayIdempotencyKey(voterId),
    };
  }

  /** The same election with this part of the ballots of every cell, 0 < fraction <= 1, rounded so that the sum fits. */
  scaled(fraction: number): ElectionFile {
    if (!(fraction > 0 && fraction <= 1)) throw new RangeError(`scaled: ${fraction} is not in (0, 1]`);
    let before = 0;
    const cells = this.cells.map((cell) => {
      const after = before + cell.ballots;
      const ballots = Math.floor(after * fraction) - Math.floor(before * fraction);
      before = after;
      return { ...cell, ballots };
    });
    return new ElectionFile(this.definition, cells, this.warnings);
  }
}

/** Throws ElectionFileError when the file cannot be replayed; the message names the line. */
export async function readElectionFile(path: string, options: ElectionFileOptions = {}): Promise<ElectionFile> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new ElectionFileError(path, error instanceof Error ? error.message : String(error));
  }
  return parseElectionFile(path, bytes, options);
}

/** As readElectionFile, of bytes that are there; `path` gives the names. */
export function parseElectionFile(path: string, bytes: Uint8Array, options: ElectionFileOptions = {}): ElectionFile {
  const rows = readElectionRows(path, bytes);
  const sum = rows.reduce((ballots, { votes }) => ballots + votes, 0);
  if (sum === 0) throw new ElectionFileError(path, "there is no ballot in it");
  if (sum > ballotsMax) throw new ElectionFileError(path, `${sum} ballots are over ${ballotsMax}`);
  const name = basename(path, extname(path));
  const electionId = options.electionId ?? slug(name, "election");
  const { definition, cells } = describe(electionId, options.title ?? name, rows);
  try {
    checkDefinition(definition);
  } catch (error) {
    if (error instanceof RejectionError) throw new ElectionFileError(path, error.message);
    throw error;
  }
  const warning = repeatedRowsWarning(rows);
  return new ElectionFile(definition, cells, warning === undefined ? [] : [warning]);
}

type RegionTitles = Map<string, string>;

function describe(electionId: string, title: string, rows: readonly ElectionRow[]) {
  const counties = new SlugNumbering("county");
  const precincts = new Map<string, SlugNumbering>();
  const candidates = new SlugNumbering("option");
  const regionTitles: RegionTitles = new Map();
  const optionTitles = new Map<string, string>();
  const cells = new Map<string, BallotCell>();
  for (const { county, precinct, candidate, votes } of rows) {
    const countyId = counties.slugOf(county);
    const numbering = precincts.get(countyId) ?? new SlugNumbering("precinct");
    precincts.set(countyId, numbering);
    const regionId = `${countyId}/${numbering.slugOf(precinct)}`;
    const optionId = candidates.slugOf(candidate);
    regionTitles.set(countyId, county).set(regionId, precinct);
    optionTitles.set(optionId, candidate);
    // One option on two party lines: one cell.
    const key = `${regionId}/${optionId}`;
    const ballots = votes + (cells.get(key)?.ballots ?? 0);
    cells.set(key, { regionId, countyId, optionId, voterIdPrefix: voterIdPrefix(regionId, optionId), ballots });
  }
  const definition = definitionOf(electionId, title, regionTitles, optionTitles);
  return { definition, cells: [...cells.values()] };
}

function definitionOf(
  electionId: string,
  title: string,
  regions: RegionTitles,
  options: ReadonlyMap<string, string>,
): ElectionDefinition {
  return create(ElectionDefinitionSchema, {
    electionId,
    title: cutTitle(title),
    keyKind: KeyKind.VOTER,
    results: ResultsVisibility.LIVE,
    regions: [...regions].map(([regionId, name]) => ({ regionId, title: cutTitle(name) })),
    contests: [
      {
        contestId: fileContestId,
        title: cutTitle(title),
        kind: ContestKind.PLURALITY,
        maxSelections: 1,
        options: [...options].map(([optionId, name]) => ({ optionId, title: cutTitle(name) })),
      },
    ],
  });
}

function cutTitle(title: string): string {
  return title.length <= titleLengthMax ? title : `${title.slice(0, titleLengthMax - 1)}…`.toWellFormed();
}

function expectedCounts(definition: ElectionDefinition, cells: readonly BallotCell[]): ExpectedCounts {
  const optionIds = definition.contests.flatMap(({ options }) => options.map(({ optionId }) => optionId));
  const zeros = () => new Map(optionIds.map((optionId) => [optionId, 0]));
  const byOption = zeros();
  const byCounty = new Map<string, Map<string, number>>();
  const byPrecinct = new Map<string, Map<string, number>>();
  for (const { regionId, countyId, optionId, ballots } of cells) {
    const county = byCounty.get(countyId) ?? zeros();
    const precinct = byPrecinct.get(regionId) ?? zeros();
    byCounty.set(countyId, county);
    byPrecinct.set(regionId, precinct);
    for (const counts of [byOption, county, precinct]) counts.set(optionId, (counts.get(optionId) ?? 0) + ballots);
  }
  return { byOption, byCounty, byPrecinct };
}
