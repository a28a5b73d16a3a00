/**
 * RFC 6962, section 2.1, word for word: slow, and short enough to be believed. Tests compare the ledger with it, so it
 * shares no code with the ledger.
 */
import { createHash } from "node:crypto";

export class ReferenceTree {
  readonly #leafHashes: readonly Buffer[];
  readonly #roots = new Map<string, Buffer>();

  constructor(leafHashes: readonly Buffer[]) {
    this.#leafHashes = leafHashes;
  }

  /** MTH(D[begin:end]) */
  root(begin: number, end: number): Buffer {
    if (begin === end) return sha256();
    if (end - begin === 1) return this.#leafHashes[begin] ?? sha256();
    const key = `${begin}:${end}`;
    const known = this.#roots.get(key);
    if (known !== undefined) return known;
    const k = begin + split(end - begin);
    const root = sha256(Buffer.of(1), this.root(begin, k), this.root(k, end));
    this.#roots.set(key, root);
    return root;
  }

  /** PATH(m, D[begin:end]) */
  path(m: number, begin: number, end: number): Buffer[] {
    if (end - begin === 1) return [];
    const k = split(end - begin);
    return m < k
      ? [...this.path(m, begin, begin + k), this.root(begin + k, end)]
      : [...this.path(m - k, begin + k, end), this.root(begin, begin + k)];
  }

  /** SUBPROOF(m, D[begin:end], b) */
  subproof(m: number, begin: number, end: number, b: boolean): Buffer[] {
    if (m === end - begin) return b ? [] : [this.root(begin, end)];
    const k = split(end - begin);
    return m <= k
      ? [...this.subproof(m, begin, begin + k, b), this.root(begin + k, end)]
      : [...this.subproof(m - k, begin + k, end, false), this.root(begin, begin + k)];
  }

  /** The hashes of a tile, as C2SP tlog-tiles defines them. */
  tile(level: number, index: number, width: number): Buffer {
    const span = 256 ** level;
    const hashes = Array.from({ length: width }, (_, i) => {
      const n = index * 256 + i;
      return this.root(n * span, (n + 1) * span);
    });
    return Buffer.concat(hashes);
  }
}

/** As many leaf hashes as are asked for, all different. */
export function someLeafHashes(count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => sha256(Buffer.from(`leaf ${i}`)));
}

/** The largest power of two smaller than n. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}
