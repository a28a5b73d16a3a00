import { expect, test } from "vitest";
import { contestsMax, optionsPerContestMax } from "#proto/limits.ts";
import { type ElectionResult, formatElectionResult, parseElectionResult } from "./election-result.ts";
import { LedgerFormatError } from "./ledger-format-error.ts";
import {
  formatVerifierKey,
  generateLedgerKey,
  noteSigner,
  parseVerifierKey,
  publicKeyOf,
  signNote,
  verifyNote,
} from "./signed-note.ts";

const result: ElectionResult = {
  checkpoint: { origin: "town/shard/1", size: 7, root: Buffer.alloc(32, 3) },
  electionId: "mayor-2026",
  definitionHash: Buffer.alloc(32, 0xab),
  closeBatch: 12,
  ballots: 5,
  contests: [
    {
      contestId: "mayor",
      options: [
        { optionId: "ann", count: 3 },
        { optionId: "bob", count: 0 },
      ],
      undervotes: 2,
    },
    { contestId: "park", options: [{ optionId: "yes", count: 5 }], undervotes: 0 },
  ],
};
const text = formatElectionResult(result);

test("a result is read as it was written", () => {
  expect(parseElectionResult(text)).toEqual(result);
  expect(text.split("\n").slice(3, 8)).toEqual([
    "election mayor-2026",
    `definition ${"ab".repeat(32)}`,
    "close-batch 12",
    "ballots 5",
    "option mayor ann 3",
  ]);
});

for (const [what, spoiled] of [
  ["no extension lines", text.split("\n").slice(0, 3).join("\n").concat("\n")],
  ["another order", text.replace("close-batch 12\nballots 5", "ballots 5\nclose-batch 12")],
  ["a definition cut short", text.replace("ab".repeat(32), "ab".repeat(31))],
  ["a negative count", text.replace("option mayor ann 3", "option mayor ann -3")],
  ["a count with a leading zero", text.replace("option mayor ann 3", "option mayor ann 03")],
  ["a line of another kind", text.replace("undervotes park 0", "overvotes park 0")],
  ["a contest without its undervotes", text.replace("undervotes mayor 2\n", "")],
  ["the last contest cut off", text.replace("undervotes park 0\n", "")],
] as const) {
  test(`a result with ${what} is refused`, () => {
    expect(spoiled).not.toBe(text);
    expect(() => parseElectionResult(spoiled)).toThrow(LedgerFormatError);
  });
}

test("the result of the largest election can be signed and verified", () => {
  const id = (number: number) => String(number).padStart(64, "x");
  const options = Array.from({ length: optionsPerContestMax }, (_, option) => ({
    optionId: id(option),
    count: Number.MAX_SAFE_INTEGER,
  }));
  const contests = Array.from({ length: contestsMax }, (_, contest) => ({
    contestId: id(contest),
    options,
    undervotes: Number.MAX_SAFE_INTEGER,
  }));
  const key = generateLedgerKey();
  const { origin } = result.checkpoint;
  const note = signNote(formatElectionResult({ ...result, contests }), noteSigner(origin, key));
  const verifier = parseVerifierKey(formatVerifierKey(origin, publicKeyOf(key)));
  expect(parseElectionResult(verifyNote(note, [verifier]).text).contests).toHaveLength(contestsMax);
});
