import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { VoterIndex } from "./voter-index.ts";

const nullifier = (voter: number) => createHash("sha256").update(`voter ${voter}`).digest();

describe.each([
  ["memory", 256 * 1024 * 1024],
  ["files", 10_000],
])("with all voters in %s", (_where, memoryBytesMax) => {
  test("nobody is found who has voted once in each election", () => {
    using voters = new VoterIndex(memoryBytesMax);
    for (let voter = 0; voter < 5_000; voter++) {
      for (const election of [0, 1]) voters.add(nullifier(voter), 0, election, voter % 3, voter);
    }
    expect([...voters.doubles()]).toEqual([]);
  });

  test("whoever has voted again is found, on another shard and on the same, each vote but the first (I2)", () => {
    using voters = new VoterIndex(memoryBytesMax);
    for (let voter = 0; voter < 5_000; voter++) voters.add(nullifier(voter), 0, 0, 0, voter);
    voters.add(nullifier(17), 0, 0, 1, 8_000);
    voters.add(nullifier(99), 0, 0, 0, 8_001);
    voters.add(nullifier(99), 0, 0, 2, 8_002);
    const second = [...voters.doubles()].map(({ first, second }) => [first.leaf, second.shardId, second.leaf]);
    expect(second.toSorted((a, b) => (a[2] ?? 0) - (b[2] ?? 0))).toEqual([
      [17, 1, 8_000],
      [99, 0, 8_001],
      [99, 2, 8_002],
    ]);
  });
});

test("two voters whose nullifiers differ in the last bit alone are two", () => {
  using voters = new VoterIndex();
  const [one, other] = [Buffer.alloc(16, 7), Buffer.alloc(16, 7)];
  other[15] = 6;
  voters.add(one, 0, 0, 0, 1);
  voters.add(other, 0, 0, 0, 2);
  expect([...voters.doubles()]).toEqual([]);
});

test("its files go with it", () => {
  const folder = mkdtempSync(join(tmpdir(), "urna-voters-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  {
    using voters = new VoterIndex(1_000, folder);
    for (let voter = 0; voter < 100; voter++) voters.add(nullifier(voter), 0, 0, 0, voter);
    expect(readdirSync(folder)).toHaveLength(1);
  }
  expect(readdirSync(folder)).toEqual([]);
});
