import { expect, test } from "vitest";
import type { AuditedElection } from "./audited-election.ts";
import { ControlCheck } from "./control-check.ts";
import { FindingBook } from "./finding-book.ts";

type Control = readonly [batch: number, ...actions: readonly string[]];

/** What is found of "town", whose row says these batches. */
function found(
  openBatch: number,
  closeBatch: number,
  log: readonly Control[],
  { after = 0, through = 100 } = {},
): string[] {
  const findings = new FindingBook();
  const town = { terms: { electionId: "town", openBatch, closeBatch } } as AuditedElection;
  const check = new ControlCheck(0, findings, after, new Map([[1, town]]));
  for (const [batch, ...actions] of log) {
    check.note(batch, JSON.stringify(actions.map((action) => ({ action, election: "town", by: "admin" }))));
  }
  check.finish(through);
  return findings.kept.map(({ detail }) => detail);
}

test("an election that was opened and closed where the log says so is no finding", () => {
  expect(
    found(3, 9, [
      [2, "define"],
      [3, "want-open", "open"],
      [9, "close"],
    ]),
  ).toEqual([]);
  expect(found(3, 0, [[3, "open"]])).toEqual([]);
  expect(found(0, 0, [])).toEqual([]);
});

test("what is outside the batches that are looked at is neither asked for nor missed", () => {
  expect(found(3, 9, [[9, "close"]], { after: 5 })).toEqual([]);
  expect(found(3, 90, [[3, "open"]], { through: 50 })).toEqual([]);
});

const changed: readonly { what: string; open: number; close: number; log: readonly Control[]; says: RegExp }[] = [
  {
    what: "a close that was moved",
    open: 3,
    close: 12,
    log: [
      [3, "open"],
      [9, "close"],
    ],
    says: /log says in batch 9/,
  },
  {
    what: "a close that was taken back",
    open: 3,
    close: 0,
    log: [
      [3, "open"],
      [9, "close"],
    ],
    says: /log says in batch 9/,
  },
  { what: "a close that is not in the log", open: 3, close: 9, log: [[3, "open"]], says: /the log does not/ },
  { what: "an opening that is not in the log", open: 3, close: 0, log: [], says: /the log does not/ },
  {
    what: "an opening that was repeated",
    open: 3,
    close: 0,
    log: [
      [3, "open"],
      [5, "open"],
    ],
    says: /second time/,
  },
];

test.each(changed)("$what is found (I10)", ({ open, close, log, says }) => {
  expect(found(open, close, log)).toEqual([expect.stringMatching(says)]);
});

test("a control column that cannot be read names no step", () => {
  const findings = new FindingBook();
  const check = new ControlCheck(0, findings, 0, new Map());
  for (const control of ["", "null", "{}", "[1]", '[{"action":1}]']) check.note(1, control);
  check.finish(1);
  expect(findings.kept).toEqual([]);
});
