/**
 * Follows one shard: finds its writer, asks for the counts after the last batch that was folded, folds what comes, and
 * begins again whenever anything is amiss. Where it resumes depends on nothing but the book, so that every batch is
 * folded exactly once whatever happened to the stream.
 */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Logger } from "#mesh/log.ts";
import type { WatchCountsResponse } from "#proto/generated/urna/v1/shard_service_pb.js";
import { Backoff } from "./backoff.ts";
import type { CountBook } from "./count-book.ts";
import type { ElectionDefinitions } from "./election-definitions.ts";
import type { ShardClient, ShardPeers, WriterSearch } from "./shard-peers.ts";
import type { Clock, ShardReading } from "./shard-reading.ts";
import { ShardStream } from "./shard-stream.ts";
import type { ShardWitness } from "./shard-witness.ts";

export type FollowerTimes = {
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  /** How long the first message of a stream may take: it may be the sum of a long history. */
  readonly firstMessageMsMax: number;
  /** How long a stream that is live may be silent; the shard's pulse comes more often. */
  readonly silenceMs: number;
  /** How long a shard may seem to have lost batches before that is believed. */
  readonly behindMsMax: number;
};

export type FollowerParts = {
  readonly shardId: number;
  readonly peers: ShardPeers;
  readonly book: CountBook;
  readonly definitions: ElectionDefinitions;
  readonly reading: ShardReading;
  readonly witness: Pick<ShardWitness, "hear" | "generation">;
  readonly clock: Clock;
  readonly times: FollowerTimes;
  readonly log: Logger;
  /** Called when the book holds counts of a log that has ended: the process must drain, and its successor begins anew. */
  startAnew(reason: string): void;
};

type Writer = Extract<WriterSearch, { kind: "found" }>;
type Behind = Extract<WriterSearch, { kind: "behind" }>;

export class ShardFollower {
  readonly #parts: FollowerParts;
  readonly #backoff: Backoff;
  readonly #log: Logger;
  /** Since when, monotonic, no writer was found that holds what was folded; undefined while one is. */
  #behindSinceMs: number | undefined;
  /** Of the log that was folded; undefined until it is known. */
  #generation: number | undefined;
  #complaint = "";
  #stampMs: number | undefined;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
    this.#backoff = new Backoff(parts.times.backoffMsMin, parts.times.backoffMsMax);
    this.#log = parts.log.child({ shard: parts.shardId });
  }

  /** Unix time in milliseconds of the last batch folded, by the shard's stamp; undefined before the first. */
  get stampMs(): number | undefined {
    return this.#stampMs;
  }

  /** Until the signal is aborted. Throws only what a fault in the tally itself throws: then the book must not be trusted. */
  async run(signal: AbortSignal): Promise<void> {
    const { peers, book, shardId } = this.#parts;
    while (!signal.aborted) {
      const search = await peers.findWriter(shardId, book.foldedBatch(shardId), signal);
      if (search.kind === "found") await this.#follow(search, signal);
      else if (search.kind === "behind") await this.#missBehind(search, signal);
      else this.#missNone();
      await this.#backoff.wait(signal);
    }
  }

  #missNone(): void {
    this.#behindSinceMs = undefined;
    this.#complain("no node of the shard is its writer");
  }

  async #missBehind({ node, client, durableBatch }: Behind, signal: AbortSignal): Promise<void> {
    const { reading, clock, times, book, shardId } = this.#parts;
    this.#behindSinceMs ??= clock.monotonicMs();
    if (clock.monotonicMs() - this.#behindSinceMs < times.behindMsMax) return;
    if (!reading.hasLostBatches) {
      // I1 says that this cannot be. The counts stay: a count never falls (I7).
      reading.lostBatches();
      const folded = book.foldedBatch(shardId);
      this.#log.error({ node, durableBatch: `${durableBatch}`, folded: `${folded}` }, "the shard has lost batches");
    }
    await this.#hearCheckpoint(client, signal);
  }

  /** No stream brings it: how many leaves are gone is told by the checkpoint alone (I8). */
  async #hearCheckpoint(client: ShardClient, signal: AbortSignal): Promise<void> {
    try {
      const { signedNote } = await client.getShardCheckpoint({}, { deadlineMs: this.#parts.times.silenceMs, signal });
      this.#parts.witness.hear(signedNote, client);
      this.#beganAnew();
    } catch (error) {
      if (!signal.aborted) this.#complain(`the shard does not show its checkpoint: ${String(error)}`);
    }
  }

  /** One stream, from its beginning to its end. */
  async #follow(writer: Writer, signal: AbortSignal): Promise<void> {
    const { book, reading, shardId, times } = this.#parts;
    this.#behindSinceMs = undefined;
    reading.began(writer.durableBatch);
    const afterBatch = book.foldedBatch(shardId);
    const stream = new ShardStream(signal, (options) => writer.client.watchCounts({ afterBatch }, options));
    try {
      let limitMs = times.firstMessageMsMax;
      while (await this.#takeOne(writer, stream, limitMs)) limitMs = times.silenceMs;
    } finally {
      stream.close();
      reading.broke();
    }
  }

  /** Whether the stream goes on. */
  async #takeOne(writer: Writer, stream: ShardStream<WatchCountsResponse>, limitMs: number): Promise<boolean> {
    const { book, reading, witness, shardId } = this.#parts;
    let message: WatchCountsResponse | undefined;
    try {
      message = await stream.receive(limitMs);
      if (message !== undefined) await this.#define(message, writer);
    } catch (error) {
      if (!stream.left) this.#complain(`the stream of ${writer.node} broke: ${String(error)}`);
      return false;
    }
    if (message === undefined) {
      this.#complain(`${writer.node} ended the stream`);
      return false;
    }
    // Also of a message that cannot be folded: a shard that lost batches shows it by its checkpoint (I8).
    witness.hear(message.checkpoint, writer.client);
    if (this.#beganAnew()) return false;
    const outcome = book.fold(shardId, message);
    switch (outcome.kind) {
      case "folded":
        break;
      case "out-of-order":
        this.#complain(`${writer.node} sent batch ${outcome.fromBatch} where ${outcome.expectedBatch} was due`);
        return false;
      case "impossible":
        this.#complain(`${writer.node} sent counts that cannot be: ${outcome.why}`);
        return false;
    }
    reading.folded(message.throughBatch);
    if (message.stamp !== undefined) this.#stampMs = timestampMs(message.stamp);
    this.#settle(writer);
    return true;
  }

  /**
   * Whether the shard goes on with another log than the one that was folded: after a loss that an operator accepted, batches
   * that were folded may be gone, and others bear their numbers.
   */
  #beganAnew(): boolean {
    const { witness, book, shardId, startAnew } = this.#parts;
    const { generation } = witness;
    if (generation === undefined || generation === this.#generation) return false;
    if (this.#generation === undefined || book.foldedBatch(shardId) === 0n) {
      this.#generation = generation;
      return false;
    }
    startAnew(`shard ${shardId} goes on as generation ${generation} of its log: all counts are folded anew`);
    return true;
  }

  /** What the book must know of the message's elections before it can fold it. */
  async #define({ changes, counts }: WatchCountsResponse, { client }: Writer): Promise<void> {
    const { book, definitions } = this.#parts;
    for (const { electionId } of [...changes, ...counts]) {
      if (!book.knows(electionId)) book.define(await definitions.fetch(electionId, client));
    }
  }

  #settle({ node }: Writer): void {
    this.#backoff.reset();
    if (this.#complaint === "") return;
    this.#complaint = "";
    this.#log.info({ node }, "the shard is followed again");
  }

  /** The same complaint again is no news. */
  #complain(complaint: string): void {
    if (complaint === this.#complaint) return;
    this.#complaint = complaint;
    this.#log.warn(complaint);
  }
}
