import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeFinding, findingKinds } from "./audit-finding.ts";
import { FindingBook, findingsKeptMax } from "./finding-book.ts";

test("a finding says where it is, as far as it is anywhere", () => {
  const detail = "it has no row";
  expect(describeFinding({ kind: "ROW_MISSING", shardId: 1, leaf: 7, throughLeaf: 7, detail })).toBe(
    "shard 1, leaf 7: it has no row",
  );
  expect(describeFinding({ kind: "ROW_MISSING", shardId: 1, leaf: 7, throughLeaf: 9, batch: 3, detail })).toBe(
    "shard 1, leaves 7 to 9, batch 3: it has no row",
  );
  expect(describeFinding({ kind: "TALLY_DIFFERS", electionId: "town", detail })).toBe("election town: it has no row");
  expect(describeFinding({ kind: "SLOTS_CHANGED", detail })).toBe(detail);
});

test("the page on audits names every kind of finding with its sentence", () => {
  const page = readFileSync(join(import.meta.dirname, "../docs/audit.md"), "utf8");
  const rows = new Map(
    [...page.matchAll(/^\| `([A-Z_]+)` \| (.+) \|$/gm)].map(([, kind, sentence]) => [kind, sentence]),
  );
  expect(Object.fromEntries(rows)).toEqual(findingKinds);
});

test("of each kind on each shard the first are kept, all are counted, and those kept are told at once", () => {
  const told: number[] = [];
  const book = new FindingBook(({ leaf = -1 }) => told.push(leaf));
  for (let leaf = 0; leaf < findingsKeptMax * 3; leaf++)
    book.add({ kind: "ROW_MISSING", shardId: 0, leaf, detail: "" });
  book.add({ kind: "ROW_MISSING", shardId: 1, leaf: 5, detail: "" });
  expect(book.count).toBe(findingsKeptMax * 3 + 1);
  expect(book.kept).toHaveLength(findingsKeptMax + 1);
  expect(told).toHaveLength(findingsKeptMax + 1);
});
