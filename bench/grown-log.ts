/**
 * A log without a shard: leaf entries, the tree over them, and all that a shard would sign and prove of it. It can be asked
 * about every size that it has had.
 */
import type { KeyObject } from "node:crypto";
import { createHash, createPrivateKey } from "node:crypto";
import { formatCheckpoint } from "#proto/ledger/checkpoint.ts";
import { encodeLeafEntry } from "#proto/ledger/leaf-entry.ts";
import { hashBytes, leafHash } from "#proto/ledger/merkle-hash.ts";
import { formatProofFile } from "#proto/ledger/proof-file.ts";
import { formatVerifierKey, noteSigner, publicKeyOf, signNote } from "#proto/ledger/signed-note.ts";
import { TileProofs } from "#proto/ledger/tile-proofs.ts";
import { TreeFrontier } from "#proto/ledger/tree-frontier.ts";

export class GrownLog {
  readonly origin: string;
  readonly verifierKey: string;
  readonly #key: KeyObject;
  readonly #frontier = TreeFrontier.empty();
  readonly #tiles = new Map<string, Buffer>();
  readonly #entries: Buffer[] = [];
  readonly #proofs = new TileProofs(async (level, index, width) => {
    const hashes = this.#tiles.get(`${level}/${index}`) ?? this.#frontier.partial(level);
    return hashes.subarray(0, width * hashBytes);
  });

  /** `seed` names one key, which is the same in every run. */
  constructor(origin: string, seed: string) {
    this.origin = origin;
    this.#key = keyOf(seed);
    this.verifierKey = formatVerifierKey(origin, publicKeyOf(this.#key));
  }

  /** Adds votes; another `salt` makes other ones. */
  grow(count: number, salt = ""): void {
    const added = Array.from({ length: count }, (_, i) => entryOf(`${salt}${this.#entries.length + i}`));
    this.#entries.push(...added);
    for (const { level, index, hashes } of this.#frontier.append(Buffer.concat(added.map(leafHash)))) {
      this.#tiles.set(`${level}/${index}`, hashes);
    }
  }

  /** The signed checkpoint of the first `size` leaves. */
  async checkpoint(size: number): Promise<Buffer> {
    const root = await this.#proofs.rootAt(size);
    const text = formatCheckpoint({ origin: this.origin, size, root, extensions: [] });
    return signNote(text, noteSigner(this.origin, this.#key));
  }

  /** A proof file; with `entryIndex`, of that other leaf's entry. */
  async receipt(index: number, size: number, entryIndex = index): Promise<Buffer> {
    const hashes = await this.#proofs.inclusion(index, size);
    const checkpointNote = await this.checkpoint(size);
    return formatProofFile({ extra: this.#entries[entryIndex], index, hashes, checkpointNote });
  }

  consistency(oldSize: number, newSize: number): Promise<Buffer[]> {
    return this.#proofs.consistency(oldSize, newSize);
  }
}

function keyOf(seed: string): KeyObject {
  const pkcs8Start = Buffer.from("302e020100300506032b657004220420", "hex");
  return createPrivateKey({ key: Buffer.concat([pkcs8Start, sha256(seed)]), format: "der", type: "pkcs8" });
}

function entryOf(name: string): Buffer {
  return encodeLeafEntry({
    electionId: "town",
    definitionHash: sha256("definition"),
    nullifier: sha256(`voter ${name}`).subarray(0, 16),
    keyHash: sha256(`key ${name}`).subarray(0, 16),
    commitment: sha256(`ballot ${name}`),
  });
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
