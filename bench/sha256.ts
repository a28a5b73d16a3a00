/**
 * SHA-256 of short messages without leaving JavaScript. The replay derives one idempotency key a vote while it shares
 * two cores with the cluster that it measures: a call of `node:crypto` costs 1.9 µs, this 0.45 µs a block of 64 bytes
 * (Node 24.21, the 2-core machine of bench/results). The test compares it with `node:crypto`.
 */
import { createHash } from "node:crypto";

const blockBytes = 64;
const lengthBytes = 8;

const roundConstants = fractionsOfRoots(Math.cbrt, 64);
const initialState = fractionsOfRoots(Math.sqrt, 8);

/** The first 32 bits of the fractional parts of the roots of the first primes (FIPS 180-4). */
function fractionsOfRoots(root: (prime: number) => number, count: number): Int32Array {
  const words = new Int32Array(count);
  for (let found = 0, n = 2; found < count; n++) {
    if (!isPrime(n)) continue;
    words[found++] = Math.floor((root(n) % 1) * 2 ** 32);
  }
  return words;
}

function isPrime(n: number): boolean {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false;
  return true;
}

/** Not safe to share between threads: the schedule and the state are scratch space. */
export class ShortSha256 {
  readonly #schedule = new Int32Array(64);
  readonly #state = new Int32Array(8);
  readonly #message: Uint8Array;
  readonly #messageBytesMax: number;

  /** `messageBytesMax`: at most 8,191, so that a message's length in bits fits the two bytes written of it. */
  constructor(messageBytesMax: number) {
    if (messageBytesMax > 8_191)
      throw new RangeError(`ShortSha256: messages of ${messageBytesMax} bytes are not short`);
    this.#messageBytesMax = messageBytesMax;
    this.#message = new Uint8Array(Math.ceil((messageBytesMax + 1 + lengthBytes) / blockBytes) * blockBytes);
  }

  /** Where the caller writes the message before `digestInto`. */
  get message(): Uint8Array {
    return this.#message;
  }

  /** Hashes the first `length` bytes of `message` and writes the first `outBytes` (a multiple of 4) of the digest. */
  digestInto(length: number, out: Uint8Array, outOffset: number, outBytes: number): void {
    if (length > this.#messageBytesMax) throw new RangeError(`ShortSha256: ${length} bytes`);
    const message = this.#message;
    const end = Math.ceil((length + 1 + lengthBytes) / blockBytes) * blockBytes;
    message[length] = 0x80;
    for (let i = length + 1; i < end; i++) message[i] = 0;
    const bits = length * 8;
    message[end - 2] = bits >>> 8;
    message[end - 1] = bits;
    for (let i = 0; i < 8; i++) this.#state[i] = initialState[i] as number;
    for (let offset = 0; offset < end; offset += blockBytes) this.#compress(offset);
    for (let i = 0, o = outOffset; i < outBytes / 4; i++) {
      const word = this.#state[i] as number;
      out[o++] = word >>> 24;
      out[o++] = word >>> 16;
      out[o++] = word >>> 8;
      out[o++] = word;
    }
  }

  // The casts say what the loop bounds guarantee; a check a word would cost more than the hash.
  #compress(offset: number): void {
    const w = this.#schedule;
    const m = this.#message;
    for (let i = 0, o = offset; i < 16; i++, o += 4) {
      w[i] =
        ((m[o] as number) << 24) | ((m[o + 1] as number) << 16) | ((m[o + 2] as number) << 8) | (m[o + 3] as number);
    }
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15] as number;
      const y = w[i - 2] as number;
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = ((w[i - 16] as number) + s0 + (w[i - 7] as number) + s1) | 0;
    }
    const state = this.#state;
    let a = state[0] as number;
    let b = state[1] as number;
    let c = state[2] as number;
    let d = state[3] as number;
    let e = state[4] as number;
    let f = state[5] as number;
    let g = state[6] as number;
    let h = state[7] as number;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (roundConstants[i] as number) + (w[i] as number)) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0] = ((state[0] as number) + a) | 0;
    state[1] = ((state[1] as number) + b) | 0;
    state[2] = ((state[2] as number) + c) | 0;
    state[3] = ((state[3] as number) + d) | 0;
    state[4] = ((state[4] as number) + e) | 0;
    state[5] = ((state[5] as number) + f) | 0;
    state[6] = ((state[6] as number) + g) | 0;
    state[7] = ((state[7] as number) + h) | 0;
  }
}

/** A wrong table of primes' roots would still be a hash, only not SHA-256: found when the file is loaded. */
const probe = new ShortSha256(3);
const probed = new Uint8Array(32);
probe.message.set([0x61, 0x62, 0x63]);
probe.digestInto(3, probed, 0, 32);
if (!createHash("sha256").update("abc").digest().equals(probed)) throw new Error("sha256: wrong digest of its probe");
