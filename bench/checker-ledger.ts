/**
 * One shard's ledger, made again from its rows: every leaf, and the root of every batch (A6). Written out here from RFC 6962
 * and the description of a leaf entry, with nothing of the code that it checks.
 */
import { createHash } from "node:crypto";
import type { Findings } from "#bench/checker-findings.ts";
import type { ShardState, StoredVote } from "#bench/checker-shard.ts";

export function checkLedger(findings: Findings, shard: ShardState): void {
  const byLeaf = shard.votes.toSorted((a, b) => a.leafIndex - b.leafIndex);
  const tree = new GrowingTree();
  let leaf = 0;
  for (const batch of shard.batches) {
    for (; leaf < batch.treeSize; leaf++) {
      const vote = byLeaf[leaf];
      if (vote === undefined) {
        findings.add("A6", `${shard.logOrigin}: leaf ${leaf} has no row`);
        return;
      }
      tree.add(sha256(Buffer.of(0), entryOf(shard, vote)));
    }
    const where = () =>
      `${shard.logOrigin} batch ${batch.number}: its root is not that of its ${batch.treeSize} leaves`;
    findings.demand("A6", tree.root() === batch.root, where);
  }
}

function entryOf(shard: ShardState, vote: StoredVote): Buffer {
  const election = shard.elections.get(vote.election);
  const id = Buffer.from(election?.electionId ?? "");
  const bytes = (hex: string) => Buffer.from(hex, "hex");
  const region = Buffer.alloc(4);
  region.writeUInt32BE(vote.region);
  const commitment = sha256(bytes(vote.nonce), bytes(vote.ballot), region);
  const head = [Buffer.of(1, id.length), id, bytes(election?.definitionHash ?? "")];
  return Buffer.concat([...head, bytes(vote.nullifier), bytes(vote.keyHash), commitment]);
}

/** The roots of the perfect trees that the leaves so far make up, the largest first. */
class GrowingTree {
  readonly #peaks: { readonly hash: Buffer; readonly leaves: number }[] = [];

  add(leafHash: Buffer): void {
    let peak = { hash: leafHash, leaves: 1 };
    for (let last = this.#peaks.at(-1); last?.leaves === peak.leaves; last = this.#peaks.at(-1)) {
      this.#peaks.pop();
      peak = { hash: sha256(Buffer.of(1), last.hash, peak.hash), leaves: 2 * peak.leaves };
    }
    this.#peaks.push(peak);
  }

  root(): string {
    const hashes = this.#peaks.map(({ hash }) => hash);
    if (hashes.length === 0) return sha256().toString("hex");
    return hashes.reduceRight((right, left) => sha256(Buffer.of(1), left, right)).toString("hex");
  }
}

function sha256(...parts: Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}
