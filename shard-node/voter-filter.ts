/**
 * Who has not voted yet, told without asking Postgres: a Bloom filter over the nullifiers of one election. It errs on one
 * side only, so a voter that it does not know is new, and one that it may know is looked up (vote-lookup.ts). Were it
 * ever wrong, the unique key would refuse the batch and a takeover would build it anew (I2). Measured in the replay: a
 * quarter of the primaries' CPU went into looking up voters who were not there.
 *
 * Blocked: all bits of a nullifier lie in one block of 64 bytes. Nullifiers are HMACs, so their own bits serve as hashes.
 * It grows by a few segments, each far larger than the one before, because every one is a miss of the processor's cache; at 32
 * bits a voter, one in about 100,000 is looked up in vain.
 */

const blockWords = 16;
const votersPerBlock = 16;
const segmentVoters = [2 ** 14, 2 ** 19, 2 ** 23] as const;
/** Beyond it the filter gives up, and every voter is looked up (I9): it has 36 MB then. */
export const filterVotersMax = segmentVoters.reduce((sum, voters) => sum + voters, 0);

/** Where in a nullifier the bits are taken from. Not from its start: that is the slot, alike for all of a shard. */
const blockAt = 2;
const bitsAt = 6;

class Segment {
  readonly #words: Uint32Array;
  readonly #blocks: number;
  readonly votersMax: number;

  constructor(votersMax: number) {
    this.votersMax = votersMax;
    this.#blocks = votersMax / votersPerBlock;
    this.#words = new Uint32Array(this.#blocks * blockWords);
  }

  add(nullifiers: Buffer, start: number): void {
    const words = this.#words;
    const block = (nullifiers.readUInt32LE(start + blockAt) % this.#blocks) * blockWords;
    for (let i = 0; i < 2; i++) {
      const bits = nullifiers.readUInt32LE(start + bitsAt + 4 * i);
      for (let shift = 0; shift < 27; shift += 9) {
        const word = block + ((bits >>> (shift + 5)) & 15);
        words[word] = (words[word] as number) | (1 << ((bits >>> shift) & 31));
      }
    }
    const bits = nullifiers.readUInt16LE(start + bitsAt + 8);
    const word = block + ((bits >>> 5) & 15);
    words[word] = (words[word] as number) | (1 << (bits & 31));
  }

  has(nullifiers: Buffer, start: number): boolean {
    const words = this.#words;
    const block = (nullifiers.readUInt32LE(start + blockAt) % this.#blocks) * blockWords;
    for (let i = 0; i < 2; i++) {
      const bits = nullifiers.readUInt32LE(start + bitsAt + 4 * i);
      for (let shift = 0; shift < 27; shift += 9) {
        const word = words[block + ((bits >>> (shift + 5)) & 15)] as number;
        if ((word & (1 << ((bits >>> shift) & 31))) === 0) return false;
      }
    }
    const bits = nullifiers.readUInt16LE(start + bitsAt + 8);
    return ((words[block + ((bits >>> 5) & 15)] as number) & (1 << (bits & 31))) !== 0;
  }
}

export class VoterFilter {
  #segments: Segment[] = [];
  /** Voters in the newest segment. */
  #newest = 0;
  #state: "filling" | "complete" | "given-up";

  /** `complete`: no vote of the election is stored yet. Otherwise those that are must be added first. */
  constructor(complete: boolean) {
    this.#state = complete ? "complete" : "filling";
  }

  /** Whether votes that were stored before are still to be added. */
  get filling(): boolean {
    return this.#state === "filling";
  }

  /** The nullifier at `start`. To be called for every vote that is stored. */
  add(nullifiers: Buffer, start: number): void {
    if (this.#state === "given-up") return;
    let segment = this.#segments[this.#segments.length - 1];
    if (segment === undefined || this.#newest >= segment.votersMax) {
      const votersMax = segmentVoters[this.#segments.length];
      if (votersMax === undefined) {
        this.#giveUp();
        return;
      }
      segment = new Segment(votersMax);
      this.#segments.push(segment);
      this.#newest = 0;
    }
    segment.add(nullifiers, start);
    this.#newest += 1;
  }

  /** All votes that were stored before have been added. */
  filled(): void {
    if (this.#state === "filling") this.#state = "complete";
  }

  /** Whether a vote of the nullifier at `start` may be stored. */
  mayHaveVoted(nullifiers: Buffer, start: number): boolean {
    if (this.#state !== "complete") return true;
    for (let i = this.#segments.length - 1; i >= 0; i--) {
      if (this.#segments[i]?.has(nullifiers, start) === true) return true;
    }
    return false;
  }

  #giveUp(): void {
    this.#state = "given-up";
    this.#segments = [];
  }
}
