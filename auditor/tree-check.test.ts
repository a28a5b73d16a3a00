import { expect, test } from "vitest";
import { someLeafHashes } from "#proto/ledger/reference-tree.ts";
import { TreeFrontier } from "#proto/ledger/tree-frontier.ts";
import { TreeCheck } from "./tree-check.ts";

const hashes = Buffer.concat(someLeafHashes(700));
const leaves = (first: number, end: number) => hashes.subarray(first * 32, end * 32);

function rootOf(count: number): Buffer {
  const tree = TreeFrontier.empty();
  tree.append(leaves(0, count));
  return tree.root;
}

/** The leaf hashes, one of which is another's. */
function forged(leaf: number, first: number, end: number): Buffer {
  const copy = Buffer.from(leaves(first, end));
  copy.fill(0xee, (leaf - first) * 32, (leaf - first + 1) * 32);
  return copy;
}

test("rows that are what is stored lead to the roots that follow from them", () => {
  const tree = new TreeCheck();
  for (const [first, end] of [
    [0, 3],
    [3, 300],
    [300, 700],
  ] as const) {
    tree.append(leaves(first, end), leaves(first, end));
    expect(tree.judge(rootOf(end))).toEqual({ holds: true, verdict: undefined });
    expect(tree.judge(rootOf(2))).toEqual({ holds: false, verdict: undefined });
  }
});

test("a row that differs from the store is changed where the stored hash leads to the root, and taints no later root", () => {
  const tree = new TreeCheck();
  tree.append(forged(40, 0, 100), leaves(0, 100));
  expect(tree.isCertain).toBe(false);
  expect(tree.judge(rootOf(100))).toEqual({ holds: true, verdict: { kind: "rows-changed", leaves: [40] } });
  tree.append(leaves(100, 700), leaves(100, 700));
  expect(tree.judge(rootOf(700))).toEqual({ holds: true, verdict: undefined });
});

test("the store is changed where the row leads to the root", () => {
  const tree = new TreeCheck();
  tree.append(leaves(0, 300), forged(255, 0, 300));
  expect(tree.judge(rootOf(300))).toEqual({ holds: true, verdict: { kind: "store-changed", leaves: [255] } });
  expect(tree.tree?.root).toEqual(rootOf(300));
});

test("where neither leads to a root both go on, until one does", () => {
  const tree = new TreeCheck();
  tree.append(forged(1, 0, 10), leaves(0, 10));
  expect(tree.judge(rootOf(9))).toEqual({ holds: false, verdict: undefined });
  expect(tree.doubts).toEqual([1]);
  tree.append(leaves(10, 600), leaves(10, 600));
  expect(tree.judge(rootOf(600)).verdict).toEqual({ kind: "rows-changed", leaves: [1] });
});

test("both trees' full tiles are told, and they are one where there is no doubt", () => {
  const tree = new TreeCheck();
  const same = tree.append(leaves(0, 256), leaves(0, 256));
  expect(same.stored).toBe(same.rows);
  const two = tree.append(forged(300, 256, 512), leaves(256, 512));
  expect([two.rows.length, two.stored.length]).toEqual([1, 1]);
  expect(two.rows[0]?.root).not.toEqual(two.stored[0]?.root);
});

test("behind a leaf that is lost no root can be made again", () => {
  const tree = new TreeCheck();
  tree.append(leaves(0, 10), leaves(0, 10));
  tree.loseLeaf();
  tree.append(leaves(10, 20), leaves(10, 20));
  expect(tree.judge(rootOf(20))).toEqual({ holds: undefined, verdict: undefined });
  expect(tree.tree).toBeUndefined();
});

test("goes on from a tree, and leaves that tree as it was", () => {
  const before = TreeFrontier.empty();
  before.append(leaves(0, 300));
  const tree = new TreeCheck(before);
  tree.append(leaves(300, 700), leaves(300, 700));
  expect(tree.judge(rootOf(700)).holds).toBe(true);
  expect(before.size).toBe(300);
});
