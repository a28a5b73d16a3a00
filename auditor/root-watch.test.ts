import { expect, test } from "vitest";
import { someLeafHashes } from "#proto/ledger/reference-tree.ts";
import { TreeFrontier } from "#proto/ledger/tree-frontier.ts";
import type { Finding } from "./audit-finding.ts";
import type { LogBatch } from "./batch-chain.ts";
import { FindingBook } from "./finding-book.ts";
import { RootWatch } from "./root-watch.ts";
import { inSizeOrder, type SignedSize } from "./signed-size.ts";
import type { StoredBatch } from "./stored-batch.ts";
import { TreeCheck } from "./tree-check.ts";

const hashes: Buffer = Buffer.concat(someLeafHashes(400));
const forgedFrom = (leaf: number) => Buffer.concat([hashes.subarray(0, leaf * 32), Buffer.alloc((400 - leaf) * 32, 7)]);
const batchLeaves = 50;

function rootOf(count: number, from = hashes): Buffer {
  const tree = TreeFrontier.empty();
  tree.append(from.subarray(0, count * 32));
  return tree.root;
}

const signed = (size: number, { root = rootOf(size), generation = 1 } = {}): SignedSize => ({
  size,
  root,
  generation,
  what: "a checkpoint",
});

type Log = {
  readonly leaves?: Buffer;
  readonly size?: number;
  readonly generation?: number;
  readonly rootOfBatch?: (end: number) => Buffer;
};

/** Walks batches of 50 leaves, and answers what is found. */
function watch(signedSizes: readonly SignedSize[], log: Log = {}): { found: Finding[]; signedLeaves: number } {
  const { leaves = hashes, size = 400, generation = 1, rootOfBatch = (end) => rootOf(end, leaves) } = log;
  const findings = new FindingBook();
  const tree = new TreeCheck();
  const options = { shardId: 0, findings, tree, signed: inSizeOrder(signedSizes), generation, onVerdict: () => {} };
  const roots = new RootWatch(options);
  roots.checkSigned();
  for (let at = 0; at < size; ) {
    const end = Math.min(roots.nextSize, size, (Math.floor(at / batchLeaves) + 1) * batchLeaves);
    const part = leaves.subarray(at * 32, end * 32);
    tree.append(part, part);
    roots.checkSigned();
    if (end % batchLeaves === 0) {
      const stored = { root: rootOfBatch(end) } as StoredBatch;
      roots.checkBatch({ number: end / batchLeaves, firstLeaf: end - batchLeaves, endLeaf: end, stored } as LogBatch);
    }
    at = end;
  }
  roots.finish();
  return { found: [...findings.kept], signedLeaves: roots.signedLeaves };
}

test("roots that hold are no finding, also of no leaves and in the middle of a batch", () => {
  expect(watch([signed(0), signed(10), signed(123), signed(400)])).toEqual({ found: [], signedLeaves: 400 });
});

test("a rewritten leaf is between the last signed size that holds and the first that does not; what follows is the same finding (I8)", () => {
  const { found, signedLeaves } = watch(
    [100, 200, 300, 400].map((size) => signed(size)),
    { leaves: forgedFrom(230) },
  );
  expect(found).toMatchObject([{ kind: "CHECKPOINT_CONTRADICTED", leaf: 200, throughLeaf: 299 }]);
  expect(found[0]?.detail).toContain("nor to 1 later ones");
  expect(signedLeaves).toBe(200);
});

test("where the log's own roots have not been forged too, the batch is known", () => {
  const { found } = watch([signed(100), signed(400)], { leaves: forgedFrom(230), rootOfBatch: (end) => rootOf(end) });
  expect(found).toMatchObject([
    { kind: "ROOT_CHANGED", leaf: 200, throughLeaf: 249, batch: 5, throughBatch: 8 },
    { kind: "CHECKPOINT_CONTRADICTED", leaf: 200, throughLeaf: 399 },
  ]);
});

test("one forged root of a batch is that batch alone", () => {
  const { found } = watch([signed(400)], { rootOfBatch: (end) => (end === 150 ? Buffer.alloc(32) : rootOf(end)) });
  expect(found).toMatchObject([{ kind: "ROOT_CHANGED", batch: 3, throughBatch: 3, leaf: 100, throughLeaf: 149 }]);
});

test("of signed logs that are longer than this one, the longest says what is missing", () => {
  const { found } = watch([signed(200), signed(300), signed(400)], { size: 250 });
  expect(found).toMatchObject([{ kind: "LEAVES_MISSING", leaf: 250, throughLeaf: 399 }]);
  expect(found[0]?.detail).toContain("150 leaves are missing");
});

test("what was signed before a loss was accepted is said as that, once a generation", () => {
  const sizes = [
    signed(100),
    signed(300),
    signed(390),
    signed(400, { generation: 2, root: rootOf(400, forgedFrom(150)) }),
  ];
  const { found, signedLeaves } = watch(sizes, { leaves: forgedFrom(150), generation: 2 });
  expect(found).toMatchObject([{ kind: "LOSS_ACCEPTED", leaf: 100, throughLeaf: 389 }]);
  expect(signedLeaves).toBe(400);
});

test("what was signed before a loss, and was not lost, is no finding", () => {
  expect(watch([signed(100), signed(400, { generation: 2 })], { generation: 2 }).found).toEqual([]);
});
