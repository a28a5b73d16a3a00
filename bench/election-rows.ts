/** The rows of an election file: CSV read strictly (RFC 4180), checked, and rows of one cell and party added together. */
import { CsvError, parse } from "csv-parse/sync";

/** The file cannot be replayed; the message names the file, and the line where there is one. Nothing was sent. */
export class ElectionFileError extends Error {
  readonly line: number | undefined;

  constructor(path: string, problem: string, line?: number) {
    super(`${path}${line === undefined ? "" : `, line ${line}`}: ${problem}`);
    this.name = "ElectionFileError";
    this.line = line;
  }
}

export const electionColumns = ["county", "precinct", "party", "candidate", "votes"] as const;
type Column = (typeof electionColumns)[number];

/** Votes of one candidate on one party line in one precinct. `lines` are those of the file that were added together. */
export type ElectionRow = {
  readonly county: string;
  readonly precinct: string;
  readonly party: string;
  readonly candidate: string;
  votes: number;
  readonly lines: number[];
};

/** A file with more ballots is taken for a mistake. */
export const ballotsMax = 1_000_000_000;

type ParsedRecord = { readonly record: string[]; readonly info: { readonly lines: number } };

/** Rows in the order of their first lines. `path` is for messages only. */
export function readElectionRows(path: string, bytes: Uint8Array): ElectionRow[] {
  const [header, ...records] = parseCsv(path, decodeText(path, bytes));
  if (header === undefined) throw new ElectionFileError(path, "the file is empty");
  const positions = columnPositions(path, header);
  const rows = new Map<string, ElectionRow>();
  for (const { record, info } of records) addRecord(path, rows, positions, record, info.lines);
  return [...rows.values()];
}

/** One warning that names the lines of all rows that were added together, or none. */
export function repeatedRowsWarning(rows: readonly ElectionRow[]): string | undefined {
  const groups = rows.filter(({ lines }) => lines.length > 1).map(({ lines }) => lines.join(" + "));
  if (groups.length === 0) return undefined;
  return `rows with the same county, precinct, party and candidate were added together: lines ${groups.join(", ")}`;
}

function decodeText(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ElectionFileError(path, "the text is not UTF-8", firstLineThatIsNotUtf8(bytes));
  }
}

function firstLineThatIsNotUtf8(bytes: Uint8Array): number {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline === -1 ? bytes.length : newline;
    try {
      decoder.decode(bytes.subarray(start, end));
    } catch {
      return line;
    }
    start = end + 1;
  }
  return line;
}

function parseCsv(path: string, text: string): ParsedRecord[] {
  try {
    return parse(text, {
      bom: true,
      info: true,
      trim: true,
      skip_empty_lines: true,
      skip_records_with_empty_values: true,
      record_delimiter: ["\r\n", "\n", "\r"],
    }) as unknown as ParsedRecord[];
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const line = typeof error["lines"] === "number" ? error["lines"] : undefined;
    throw new ElectionFileError(path, error.message, line);
  }
}

function columnPositions(path: string, { record, info }: ParsedRecord): Readonly<Record<Column, number>> {
  const names = record.map((name) => name.trim().toLowerCase());
  const position = (column: Column): number => {
    const first = names.indexOf(column);
    if (first === -1) {
      const wanted = electionColumns.join(",");
      throw new ElectionFileError(path, `the column "${column}" is missing; needed are ${wanted}`, info.lines);
    }
    if (names.indexOf(column, first + 1) !== -1) {
      throw new ElectionFileError(path, `the column "${column}" is there twice`, info.lines);
    }
    return first;
  };
  return {
    county: position("county"),
    precinct: position("precinct"),
    party: position("party"),
    candidate: position("candidate"),
    votes: position("votes"),
  };
}

function addRecord(
  path: string,
  rows: Map<string, ElectionRow>,
  positions: Readonly<Record<Column, number>>,
  record: readonly string[],
  line: number,
): void {
  const field = (column: Column) => (record[positions[column]] ?? "").trim().normalize("NFC");
  const [county, precinct, party, candidate] = [field("county"), field("precinct"), field("party"), field("candidate")];
  for (const [column, value] of Object.entries({ county, precinct, candidate })) {
    if (value === "") throw new ElectionFileError(path, `the ${column} is empty`, line);
  }
  const votes = parseVotes(path, field("votes"), line);
  const key = [county, precinct, party, candidate].join("\0");
  const row = rows.get(key);
  if (row === undefined) {
    rows.set(key, { county, precinct, party, candidate, votes, lines: [line] });
  } else {
    row.votes += votes;
    row.lines.push(line);
  }
}

function parseVotes(path: string, text: string, line: number): number {
  const complaint = voteComplaint(text);
  if (complaint !== undefined) throw new ElectionFileError(path, `the number of votes "${text}" ${complaint}`, line);
  return Number(text);
}

function voteComplaint(text: string): string | undefined {
  if (/^-\d+(\.\d+)?$/.test(text)) return "is negative";
  if (/^\d*\.\d+$/.test(text)) return "is not a whole number";
  if (!/^\d+$/.test(text)) return "is not a number of digits only";
  return Number(text) > ballotsMax ? `is over ${ballotsMax}` : undefined;
}
