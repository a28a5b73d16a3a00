/**
 * What golang.org/x/mod/sumdb says of the same trees: an implementation that shares no line with this one, nor its language.
 * bench/verify makes the answers, and a test there checks that they are still what it makes.
 */
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseCheckpoint } from "./checkpoint.ts";
import { leafHash } from "./merkle-hash.ts";
import { verifyConsistency, verifyInclusion } from "./merkle-proof.ts";
import { formatVerifierKey, noteSigner, parseVerifierKey, publicKeyOf, signNote, verifyNote } from "./signed-note.ts";
import { TileProofs } from "./tile-proofs.ts";
import { type FullTile, TreeFrontier } from "./tree-frontier.ts";

type KnownAnswers = {
  readonly key: { readonly seed: string; readonly verifier_key: string };
  readonly trees: readonly { readonly size: number; readonly root: string; readonly checkpoint: string }[];
  readonly inclusion: readonly { readonly leaf: number; readonly size: number; readonly proof: readonly string[] }[];
  readonly consistency: readonly { readonly old: number; readonly new: number; readonly proof: readonly string[] }[];
};

const known = JSON.parse(readFileSync(join(import.meta.dirname, "known-answers.json"), "utf8")) as KnownAnswers;
const trees = new Map(known.trees.map((tree) => [tree.size, tree]));
const sizeMax = Math.max(...trees.keys());
const leafHashes = Array.from({ length: sizeMax }, (_, n) => leafHash(Buffer.from(`leaf ${n}`)));

/** What a shard keeps of a tree that grew up to this size: full tiles, and the partial ones at its edge. */
function proofsOf(size: number): TileProofs {
  const frontier = TreeFrontier.empty();
  const full = new Map(frontier.append(Buffer.concat(leafHashes.slice(0, size))).map((tile) => [keyOf(tile), tile]));
  return new TileProofs(async (level, index, width) => {
    const hashes = full.get(keyOf({ level, index }))?.hashes ?? frontier.partial(level);
    return hashes.subarray(0, width * 32);
  });
}

function keyOf({ level, index }: Pick<FullTile, "level" | "index">): string {
  return `${level}/${index}`;
}

/** Of a tree that has grown on, and of each as it was when it was the newest. */
const grownOn = proofsOf(sizeMax);
const asTheyWere = new Map(known.trees.map(({ size }) => [size, proofsOf(size)]));
const bothProofsOf = (size: number) => [grownOn, asTheyWere.get(size) ?? grownOn];

function rootOf(size: number): Buffer {
  return Buffer.from(trees.get(size)?.root ?? expect.fail(`no root of ${size} leaves is known`), "base64");
}

const encode = (hashes: readonly Buffer[]) => hashes.map((hash) => hash.toString("base64"));
const decode = (hashes: readonly string[]) => hashes.map((hash) => Buffer.from(hash, "base64"));

test("there are answers for the empty tree, the trees of 1 to 8 leaves, and those around full tiles of two levels", () => {
  for (const size of [0, 1, 2, 3, 4, 5, 6, 7, 8, 255, 256, 257, 1_000, 65_535, 65_536, 65_537]) {
    expect(trees.has(size), `${size}`).toBe(true);
  }
  expect(known.inclusion.length).toBeGreaterThanOrEqual(100);
  expect(known.consistency.length).toBeGreaterThanOrEqual(200);
});

test.each(known.trees)("Go knows the same root of $size leaves, grown at once, in pieces, and read", async (tree) => {
  const expected = rootOf(tree.size);
  const inPieces = TreeFrontier.empty();
  for (let at = 0; at < tree.size; at += 97) {
    inPieces.append(Buffer.concat(leafHashes.slice(at, Math.min(at + 97, tree.size))));
  }
  const atOnce = TreeFrontier.empty();
  atOnce.append(Buffer.concat(leafHashes.slice(0, tree.size)));
  expect(atOnce.root).toEqual(expected);
  expect(inPieces.root).toEqual(expected);
  for (const proofs of bothProofsOf(tree.size)) expect(await proofs.rootAt(tree.size)).toEqual(expected);
});

test("Go makes the same inclusion proofs, and they verify here", async () => {
  for (const { leaf, size, proof } of known.inclusion) {
    const name = `leaf ${leaf} of ${size}`;
    for (const proofs of bothProofsOf(size)) expect(encode(await proofs.inclusion(leaf, size)), name).toEqual(proof);
    const claim = { leafIndex: leaf, treeSize: size, proof: decode(proof), root: rootOf(size) };
    const hash = leafHashes[leaf] ?? expect.fail(name);
    expect(verifyInclusion({ ...claim, leafHash: hash }), name).toBe(true);
    const other = leafHashes[(leaf + 1) % sizeMax] ?? expect.fail(name);
    expect(verifyInclusion({ ...claim, leafHash: other }), name).toBe(false);
  }
});

test("I8: Go makes the same consistency proofs, and they verify here", async () => {
  for (const { old, new: size, proof } of known.consistency) {
    const name = `${old} to ${size}`;
    for (const proofs of bothProofsOf(size)) expect(encode(await proofs.consistency(old, size)), name).toEqual(proof);
    const claim = { oldSize: old, oldRoot: rootOf(old), newSize: size, newRoot: rootOf(size), proof: decode(proof) };
    expect(verifyConsistency(claim), name).toBe(true);
    expect(verifyConsistency({ ...claim, oldRoot: leafHash(claim.oldRoot) }), name).toBe(false);
  }
});

test("Go signs the same checkpoints with the same key, and they verify here", () => {
  const pkcs8Start = Buffer.from("302e020100300506032b657004220420", "hex");
  const der = Buffer.concat([pkcs8Start, Buffer.from(known.key.seed, "base64")]);
  const privateKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const verifier = parseVerifierKey(known.key.verifier_key);
  expect(formatVerifierKey(verifier.name, publicKeyOf(privateKey))).toBe(known.key.verifier_key);
  for (const { size, checkpoint } of known.trees) {
    const { text } = verifyNote(Buffer.from(checkpoint), [verifier]);
    expect(parseCheckpoint(text)).toEqual({ origin: verifier.name, size, root: rootOf(size), extensions: [] });
    expect(signNote(text, noteSigner(verifier.name, privateKey)).toString()).toBe(checkpoint);
  }
});
