import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { ElectionFile } from "#bench/election-file.ts";
import { ElectionFileError, parseElectionFile, readElectionFile } from "#bench/election-file.ts";
import { electionShape } from "#proto/election-shape.ts";
import { KeyKind, ResultsVisibility } from "#proto/generated/urna/v1/election_pb.js";

const newHampshire = fileURLToPath(new URL("data/nh-2020-president.csv", import.meta.url));
const header = "county,precinct,party,candidate,votes";

function parse(text: string | Uint8Array, path = "some-election.csv"): ElectionFile {
  return parseElectionFile(path, typeof text === "string" ? new TextEncoder().encode(text) : text);
}

function problemOf(text: string | Uint8Array): ElectionFileError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof ElectionFileError) return error;
    throw error;
  }
  throw new Error("the file was accepted");
}

/** The cells of all ballots in the order of the replay. */
function* castOrder(file: ElectionFile): Generator<number> {
  const cursor = file.cursor();
  const cells = new Uint32Array(1_000);
  const indexes = new Uint32Array(1_000);
  for (let n = cursor.fill(cells, indexes); n > 0; n = cursor.fill(cells, indexes)) yield* cells.subarray(0, n);
}

function optionTitles(file: ElectionFile): Record<string, string> {
  const [contest] = file.definition.contests;
  return Object.fromEntries((contest?.options ?? []).map(({ optionId, title }) => [optionId, title]));
}

function regionTitles(file: ElectionFile): Record<string, string> {
  return Object.fromEntries(file.definition.regions.map(({ regionId, title }) => [regionId, title]));
}

test("the election of New Hampshire has the counts that its source states", async () => {
  const file = await readElectionFile(newHampshire);
  expect(file.electionId).toBe("nh-2020-president");
  expect(file.ballotCount).toBe(799_014);
  expect(Object.fromEntries(file.expected.byOption)).toEqual({
    "donald-trump": 365_654,
    "joe-biden": 420_125,
    "jo-jorgensen": 13_235,
  });
  expect(file.expected.byCounty.size).toBe(10);
  expect(file.expected.byPrecinct.size).toBe(302);
  expect(file.expected.byPrecinct.get("belknap/alton")?.get("donald-trump")).toBe(2_420);
  expect(file.warnings).toEqual([]);
  expect(electionShape(file.definition).leaves).toHaveLength(302);
});

test("the definition is live, keyed by voter, and shows the names of the file", () => {
  const { definition } = parse(`${header}\nBelknap,Center Harbor,DEM,Joe Biden,3\n`, "folder/NH 2020.csv");
  expect(definition).toMatchObject({
    electionId: "nh-2020",
    title: "NH 2020",
    keyKind: KeyKind.VOTER,
    results: ResultsVisibility.LIVE,
    regions: [
      { regionId: "belknap", title: "Belknap" },
      { regionId: "belknap/center-harbor", title: "Center Harbor" },
    ],
    contests: [{ contestId: "contest", maxSelections: 1, options: [{ optionId: "joe-biden", title: "Joe Biden" }] }],
  });
});

describe("what a file may look like", () => {
  const plain = parse(`${header}\nA,P,X,C,2\nA,Q,X,D,1\n`).expected;
  const accepted: Record<string, string> = {
    "columns in another order": "votes,candidate,party,precinct,county\n2,C,X,P,A\n1,D,X,Q,A\n",
    "other columns beside them":
      "id,county,precinct,office,party,candidate,votes\n1,A,P,President,X,C,2\n2,A,Q,President,X,D,1\n",
    "a byte order mark": `\ufeff${header}\nA,P,X,C,2\nA,Q,X,D,1\n`,
    "lines that end in CR LF": `${header}\r\nA,P,X,C,2\r\nA,Q,X,D,1\r\n`,
    "no newline at the end": `${header}\nA,P,X,C,2\nA,Q,X,D,1`,
    "empty lines and rows of empty fields": `${header}\n\nA,P,X,C,2\n,,,,\n\nA,Q,X,D,1\n\n`,
    "quoted fields": `"county","precinct","party","candidate","votes"\n"A","P","X","C","2"\n"A","Q","X","D","1"\n`,
    "spaces around fields and names in capitals":
      "County, Precinct ,PARTY,Candidate,Votes\n A , P ,X, C , 2 \nA,Q,X,D,1\n",
    "an empty party": `${header}\nA,P,,C,2\nA,Q,,D,1\n`,
  };
  for (const [title, text] of Object.entries(accepted)) {
    test(`${title}: the same counts`, () => expect(parse(text).expected).toEqual(plain));
  }
});

test("quoted names keep their commas, quotes and newlines", () => {
  const file = parse(`${header}\n"St. Mary, County of","Ward ""1"", north\nside",X,"Biden, Joe",4\n`);
  expect(optionTitles(file)).toEqual({ "biden-joe": "Biden, Joe" });
  expect(regionTitles(file)).toEqual({
    "st-mary-county-of": "St. Mary, County of",
    "st-mary-county-of/ward-1-north-side": 'Ward "1", north\nside',
  });
});

test("names that are not ASCII become ASCII ids and stay as they are in titles", () => {
  const file = parse(`${header}\nDoña Ana,Łódź-Øst,X,Jürgen Weiß,1\n東京,大田,X,山田,2\n大阪,北,X,鈴木,3\n`);
  expect(optionTitles(file)).toEqual({ "jurgen-weiss": "Jürgen Weiß", option: "山田", "option-2": "鈴木" });
  expect(regionTitles(file)).toEqual({
    "dona-ana": "Doña Ana",
    "dona-ana/lodz-ost": "Łódź-Øst",
    county: "東京",
    "county/precinct": "大田",
    "county-2": "大阪",
    "county-2/precinct": "北",
  });
});

test("names of one slug are numbered in the order of the file, also when a number is taken", () => {
  const rows = ["Ward 1-2", "Ward 1", "ward-1", "WARD 1"].map((precinct) => `A,${precinct},X,C,1`);
  const file = parse([header, ...rows].join("\n"));
  expect(regionTitles(file)).toEqual({
    a: "A",
    "a/ward-1-2": "Ward 1-2",
    "a/ward-1": "Ward 1",
    "a/ward-1-3": "ward-1",
    "a/ward-1-4": "WARD 1",
  });
});

test("long names are cut to ids of 64 characters that still differ", () => {
  const name = "x".repeat(70);
  const file = parse(`${header}\n${name}a,P,X,C,1\n${name}b,P,X,C,1\n`);
  const ids = file.definition.regions.map(({ regionId }) => regionId.split("/")[0] ?? "");
  expect(new Set(ids)).toEqual(new Set(["x".repeat(64), `${"x".repeat(62)}-2`]));
});

test("precincts of one name in two counties are two regions", () => {
  const file = parse(`${header}\nA,Ward 1,X,C,1\nB,Ward 1,X,C,2\n`);
  expect([...file.expected.byPrecinct.keys()]).toEqual(["a/ward-1", "b/ward-1"]);
});

test("a candidate on two party lines is one option", () => {
  const file = parse(`${header}\nA,P,DEM,Joe Biden,5\nA,P,WFP,Joe Biden,2\n`);
  expect(Object.fromEntries(file.expected.byOption)).toEqual({ "joe-biden": 7 });
  expect(file.warnings).toEqual([]);
  expect([...file.ballots()].map(({ voterId }) => voterId)).toEqual(
    [0, 1, 2, 3, 4, 5, 6].map((n) => `a/p/joe-biden/${n}`),
  );
});

test("rows with the same first four columns are summed, with one warning that names the lines", () => {
  const file = parse(`${header}\nA,P,X,C,5\nA,Q,X,C,1\nA,P,X,C,2\nA,Q,X,D,1\nA,Q,X,C,4\n\nA,P,X,C,1\n`);
  expect(Object.fromEntries(file.expected.byOption)).toEqual({ c: 13, d: 1 });
  expect(file.warnings).toEqual([
    "rows with the same county, precinct, party and candidate were added together: lines 2 + 4 + 8, 3 + 6",
  ]);
});

describe("bad files: the line is named and nothing can be replayed", () => {
  const notUtf8 = Buffer.from(`${header}\nA,P,X,C,1\nA,P,X,Jos\u00e9,1\n`, "latin1");
  const bad: [title: string, text: string | Uint8Array, line: number | undefined, message: RegExp][] = [
    ["an empty file", "", undefined, /empty/],
    ["only blank lines", "\n\n", undefined, /empty/],
    ["a missing column", "county,precinct,candidate,votes\nA,P,C,1\n", 1, /"party" is missing/],
    ["a column twice", `${header},votes\nA,P,X,C,1,2\n`, 1, /"votes" is there twice/],
    ["a header only", `${header}\n`, undefined, /no ballot/],
    ["only zeros", `${header}\nA,P,X,C,0\n`, undefined, /no ballot/],
    ["negative votes", `${header}\nA,P,X,C,1\nA,P,X,D,-3\n`, 3, /"-3" is negative/],
    ["fractional votes", `${header}\nA,P,X,C,1\nA,Q,X,C,2.5\n`, 3, /"2.5" is not a whole number/],
    ["a word for votes", `${header}\nA,P,X,C,many\n`, 2, /"many" is not a number/],
    ["no votes", `${header}\nA,P,X,C,\n`, 2, /"" is not a number/],
    ["an exponent", `${header}\nA,P,X,C,1e3\n`, 2, /"1e3" is not a number/],
    ["a thousands separator", `${header}\nA,P,X,C,"1,200"\n`, 2, /"1,200" is not a number/],
    ["infinitely many", `${header}\nA,P,X,C,${"9".repeat(400)}\n`, 2, /is over/],
    ["too many in sum", `${header}\nA,P,X,C,900000000\nA,P,X,D,900000000\n`, undefined, /are over/],
    ["an empty candidate", `${header}\nA,P,X,,1\n`, 2, /candidate is empty/],
    ["an empty county", `${header}\n,P,X,C,1\n`, 2, /county is empty/],
    ["a row that is too short", `${header}\nA,P,X,C,1\nA,P,X\n`, 3, /Invalid Record Length/],
    ["a quote that is not closed", `${header}\nA,P,X,"C,1\n`, 2, /Quote Not Closed/],
    ["a quote inside a field", `${header}\nA,P,X,C"c,1\n`, 2, /Quote/],
    ["text that is not UTF-8", notUtf8, 3, /not UTF-8/],
    [
      "more options than an election may have",
      [header, ...Array.from({ length: 257 }, (_, n) => `A,P,X,C${n},1`)].join("\n"),
      undefined,
      /257 options/,
    ],
  ];
  for (const [title, text, line, message] of bad) {
    test(title, () => {
      const problem = problemOf(text);
      expect(problem.message).toMatch(message);
      expect(problem.message).toMatch(/^some-election\.csv/);
      expect(problem.line).toBe(line);
      if (line !== undefined) expect(problem.message).toContain(`line ${line}:`);
    });
  }

  test("a file that is not there", async () => {
    const folder = await mkdtemp(join(tmpdir(), "urna-file-"));
    await expect(readElectionFile(join(folder, "none.csv"))).rejects.toThrow(ElectionFileError);
    await writeFile(join(folder, "Ünï.csv"), `${header}\nA,P,X,C,1\n`);
    await expect(readElectionFile(join(folder, "Ünï.csv"))).resolves.toMatchObject({ electionId: "uni" });
    await rm(folder, { recursive: true });
  });
});

describe("ballots", () => {
  test("there is one for each vote of the file, each with its own voter", async () => {
    const file = await readElectionFile(newHampshire);
    const counts = file.cells.map(() => 0);
    for (const cell of castOrder(file)) counts[cell] = (counts[cell] ?? 0) + 1;
    expect(counts).toEqual(file.cells.map(({ ballots }) => ballots));
    const twentieth = file.scaled(1 / 20);
    expect(new Set(Array.from(twentieth.ballots(), ({ voterId }) => voterId)).size).toBe(twentieth.ballotCount);
  });

  test("they are the same in the same order every time", () => {
    const text = `${header}\nA,P,X,C,50\nA,Q,X,D,7\nB,R,X,C,1\n`;
    expect([...parse(text).ballots()]).toEqual([...parse(text).ballots()]);
  });

  test("every precinct grows in proportion all the way", async () => {
    const file = await readElectionFile(newHampshire);
    const half = new Map<string, number>();
    let cast = 0;
    for (const cell of castOrder(file)) {
      if (++cast > file.ballotCount / 2) break;
      const regionId = file.cells[cell]?.regionId ?? "";
      half.set(regionId, (half.get(regionId) ?? 0) + 1);
    }
    for (const [regionId, options] of file.expected.byPrecinct) {
      const ballots = [...options.values()].reduce((sum, n) => sum + n, 0);
      // At most one ballot a cell away from exactly half, and one round of 1,000 in which the break may fall.
      expect(Math.abs((half.get(regionId) ?? 0) - ballots / 2)).toBeLessThanOrEqual(options.size + ballots / 1_000);
    }
  });

  test("the idempotency key is SHA-256 of a prefix and the voter id, cut to 16 bytes", () => {
    const [ballot] = parse(`${header}\nA,P,X,C,1\n`).ballots();
    expect(ballot?.voterId).toBe("a/p/c/0");
    const digest = createHash("sha256").update("urna-replay\0a/p/c/0").digest();
    expect(Buffer.from(ballot?.idempotencyKey ?? [])).toEqual(digest.subarray(0, 16));
  });

  test("voter ids are visible ASCII of at most 128 bytes, and differ, whatever the names", () => {
    const long = "é".repeat(300);
    const file = parse(`${header}\n${long},${long}1,X,${long},2\n${long},${long}2,X,${long},2\n`);
    const ids = [...file.ballots()].map(({ voterId }) => voterId);
    expect(new Set(ids).size).toBe(4);
    for (const id of ids) expect(id).toMatch(/^[!-~]{1,128}$/);
  });
});

test("a million ballots in 11,000 rows and thousands of precincts are read, and every one can be cast", () => {
  const rows = Array.from(
    { length: 11_000 },
    (_, n) => `C${n % 20},"Precinct ${n % 5_500}, east",P${n % 3},Cand ${n % 4},91`,
  );
  const file = parse([header, ...rows].join("\n"));
  expect(file.ballotCount).toBe(1_001_000);
  let cast = 0;
  for (const _ of castOrder(file)) cast++;
  expect(cast).toBe(1_001_000);
});

test("a scaled election has that part of the ballots and the same definition", async () => {
  const file = await readElectionFile(newHampshire);
  const scaled = file.scaled(1 / 20);
  expect(scaled.ballotCount).toBe(Math.floor(799_014 / 20));
  expect(scaled.definition).toEqual(file.definition);
  for (const [i, { ballots }] of scaled.cells.entries()) {
    const whole = file.cells[i]?.ballots ?? 0;
    expect(Math.abs(ballots - whole / 20)).toBeLessThanOrEqual(1);
    expect(ballots).toBeLessThanOrEqual(whole);
  }
  expect(() => file.scaled(0)).toThrow(RangeError);
});
