/**
 * Who has voted in which election, over all shards: a voter who is there twice is found whatever slots and unique keys say (I2).
 * Votes are parted by their nullifiers, which are spread evenly; up to `memoryBytesMax` they stay in memory, beyond that the
 * parts go to files of a folder that is removed with the index. Looking through one part at a time takes a 256th of the whole:
 * 100 million votes are 3.2 GB of files and 12.5 MB of memory.
 */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nullifierBytes } from "#proto/limits.ts";

export type VoteOfVoter = { readonly election: number; readonly shardId: number; readonly leaf: number };

export type DoubleVoter = { readonly first: VoteOfVoter; readonly second: VoteOfVoter };

const parts = 256;
const electionOffset = nullifierBytes;
const shardOffset = electionOffset + 4;
const leafOffset = shardOffset + 4;
const recordBytes = leafOffset + 8;
const partBytesAtStart = 64 * recordBytes;
const defaultMemoryBytesMax = 256 * 1024 * 1024;

export class VoterIndex implements Disposable {
  readonly #memoryBytesMax: number;
  readonly #below: string;
  readonly #parts: Part[] = Array.from({ length: parts }, () => new Part());
  #bytes = 0;
  #folder: string | undefined;

  /** Files, where there must be any, are made below `folder`. */
  constructor(memoryBytesMax = defaultMemoryBytesMax, folder = tmpdir()) {
    this.#memoryBytesMax = memoryBytesMax;
    this.#below = folder;
  }

  [Symbol.dispose](): void {
    for (const part of this.#parts) part.close();
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }

  /** `election` is a number of the caller's that means the same election on all shards. */
  add(source: Buffer, nullifierAt: number, election: number, shardId: number, leaf: number): void {
    this.#parts[source[nullifierAt] as number]?.add(source, nullifierAt, election, shardId, leaf);
    this.#bytes += recordBytes;
    if (this.#bytes > this.#memoryBytesMax) this.#spill();
  }

  /** Voters with more than one vote in an election: each vote but the first, with the first. */
  *doubles(): Generator<DoubleVoter, undefined> {
    for (const part of this.#parts) yield* doublesIn(part.records());
  }

  #spill(): void {
    this.#folder ??= mkdtempSync(join(this.#below, "urna-audit-"));
    for (const [i, part] of this.#parts.entries()) part.spill(join(this.#folder, String(i)));
    this.#bytes = 0;
  }
}

class Part {
  #records = Buffer.alloc(0);
  #end = 0;
  #path: string | undefined;
  #file: number | undefined;

  add(source: Buffer, nullifierAt: number, election: number, shardId: number, leaf: number): void {
    if (this.#end === this.#records.length) this.#grow();
    const records = this.#records;
    const at = this.#end;
    for (let i = 0; i < nullifierBytes; i++) records[at + i] = source[nullifierAt + i] as number;
    records.writeUInt32LE(election, at + electionOffset);
    records.writeUInt32LE(shardId, at + shardOffset);
    records.writeDoubleLE(leaf, at + leafOffset);
    this.#end = at + recordBytes;
  }

  spill(path: string): void {
    this.#path = path;
    this.#file ??= openSync(path, "w", 0o600);
    for (let at = 0; at < this.#end; ) at += writeSync(this.#file, this.#records, at, this.#end - at);
    this.#records = Buffer.alloc(0);
    this.#end = 0;
  }

  records(): Buffer {
    const inMemory = this.#records.subarray(0, this.#end);
    return this.#path === undefined ? inMemory : Buffer.concat([readFileSync(this.#path), inMemory]);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #grow(): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(partBytesAtStart, this.#records.length * 2));
    this.#records.copy(larger, 0, 0, this.#end);
    this.#records = larger;
  }
}

/** By open addressing: slots hold the number of a record, plus one. */
function* doublesIn(records: Buffer): Generator<DoubleVoter, undefined> {
  const count = records.length / recordBytes;
  let slots = 2;
  while (slots < count * 2) slots *= 2;
  const table = new Uint32Array(slots);
  for (let record = 0; record < count; record++) {
    const at = record * recordBytes;
    // The first byte is the same in the whole part.
    let slot = (records.readUInt32LE(at + 1) ^ records.readUInt32LE(at + electionOffset)) & (slots - 1);
    for (;;) {
      const held = table[slot] as number;
      if (held === 0) {
        table[slot] = record + 1;
        break;
      }
      const first = (held - 1) * recordBytes;
      if (isSameVoter(records, first, at)) {
        yield { first: voteAt(records, first), second: voteAt(records, at) };
        break;
      }
      slot = (slot + 1) & (slots - 1);
    }
  }
}

/** Nullifier and election. */
function isSameVoter(records: Buffer, a: number, b: number): boolean {
  for (let i = 0; i < shardOffset; i++) if (records[a + i] !== records[b + i]) return false;
  return true;
}

function voteAt(records: Buffer, at: number): VoteOfVoter {
  return {
    election: records.readUInt32LE(at + electionOffset),
    shardId: records.readUInt32LE(at + shardOffset),
    leaf: records.readDoubleLE(at + leafOffset),
  };
}
