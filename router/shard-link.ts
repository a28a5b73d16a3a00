/**
 * The router's end of one shard: a queue of votes, one long-lived stream to the present writer, the frames that it has not
 * answered yet. A frame holds whatever waits when the stream can take it, so frames grow under load and shrink when idle.
 * When a stream breaks, its unanswered frames may have been stored: their votes are sent again, first, to the next writer.
 */
import { setTimeout as delay } from "node:timers/promises";
import { asItCame } from "#mesh/grpc-definition.ts";
import type { Logger } from "#mesh/log.ts";
import { EncodedMessage } from "#mesh/service-call.ts";
import type { TraceSpan } from "#mesh/tracing.ts";
import { RecordAnswer } from "#proto/record-frame.ts";
import { backoffMs } from "./backoff.ts";
import type { CachedElection } from "./election-cache.ts";
import type { RouterMetrics } from "./metrics.ts";
import type { DoorLimits } from "./shard-door.ts";
import { ShardDoor } from "./shard-door.ts";
import type { ShardNodes, ShardWriter } from "./shard-nodes.ts";
import type { Unsettled } from "./vote-frame.ts";
import { encodeFrame, lookedAt, settleFrame, shardOfLog } from "./vote-frame.ts";
import type { FrameVotes } from "./vote-queue.ts";
import { VoteQueue } from "./vote-queue.ts";
import type { ShardLog, VoteTable } from "./vote-table.ts";

export type LinkLimits = DoorLimits & {
  /** Frames and votes on their way to one shard; what comes meanwhile waits, and makes the next frames larger. */
  readonly outstandingFramesMax: number;
  readonly outstandingVotesMax: number;
  /** A frame that is unanswered for so long makes the router ask whether there is another writer. */
  readonly patienceMs: number;
  /** Times that one vote is sent; then its caller is told what is known. */
  readonly sendsMax: number;
  /** How long a shard that was taken out of service is watched for a commit. */
  readonly trialLimitMs: number;
};

export type LinkParts = {
  readonly table: VoteTable;
  readonly nodes: ShardNodes;
  readonly limits: LinkLimits;
  readonly metrics: RouterMetrics;
  readonly log: Logger;
  readonly mapEpoch: () => number;
  /** Whether votes' calls may be recorded at all. */
  readonly traces: boolean;
  /** Takes votes that must be looked at again before they are sent again. They are held by nobody. */
  readonly reroute: (unsettled: Unsettled) => void;
  readonly onStateChange: () => void;
};

type SentFrame = FrameVotes & { readonly sentAtMs: number; readonly span: TraceSpan | undefined };

type OpenStream = {
  readonly writer: ShardWriter;
  readonly call: ReturnType<typeof openStream>;
  /** The stream's buffer is full. */
  full: boolean;
};

const trialLookMs = 100;

export class ShardLink {
  readonly shardId: number;
  /** Who is let in. */
  readonly door: ShardDoor;
  readonly #parts: LinkParts;
  readonly #queue: VoteQueue;
  readonly #answer = new RecordAnswer();
  readonly #outstanding = new Map<number, SentFrame>();
  readonly #stopping = new AbortController();
  #outstandingVotes = 0;
  #settledVotes = 0;
  #newestBatch = 0;
  #newestEpoch = 0n;
  /** Of the writer that stood still when the shard was taken out of service. */
  #stuckEpoch = 0n;
  #log: ShardLog | undefined;
  #nextFrameId = 1;
  #stream: OpenStream | undefined;
  #saidRefusal: string | undefined;
  #flushing = false;
  #probing = false;

  constructor(parts: LinkParts) {
    this.#parts = parts;
    this.#queue = new VoteQueue(parts.table);
    this.shardId = parts.nodes.shardId;
    const trial = () => this.#commits();
    this.door = new ShardDoor(parts.limits, trial, performance.now(), () => parts.nodes.refusal);
    this.door.onBreakerChange((state) => {
      parts.log.warn({ shard: this.shardId, state }, "the shard's circuit breaker");
      if (state === "open") {
        this.#stuckEpoch = this.#newestEpoch;
        this.#letGo();
      }
      parts.onStateChange();
    });
    void this.#run();
    void this.#watch();
  }

  get connected(): boolean {
    return this.#stream !== undefined;
  }

  /** Votes that wait or are on their way. */
  get held(): number {
    return this.#queue.length + this.#outstandingVotes;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** Votes that the shard has settled so far, but for those that it turned away unlooked at. */
  get settled(): number {
    return this.#settledVotes;
  }

  /** How long the oldest of the waiting votes has waited. */
  get oldestWaitingMs(): number {
    return this.#queue.oldestMs(performance.now());
  }

  /** To be called several times a second. */
  look(nowMs: number): void {
    this.#queue.mark(nowMs);
    this.door.look(
      {
        connected: this.connected,
        outstanding: this.#outstandingVotes,
        waiting: this.waiting,
        oldestWaitingMs: this.#queue.oldestMs(nowMs),
        settled: this.#settledVotes,
      },
      nowMs,
    );
  }

  /** The vote is held until it is settled or rerouted. */
  enqueue(election: CachedElection, row: number): void {
    this.#queue.push(election, row);
    this.#scheduleFlush();
  }

  /** Lets go of votes that were answered at their deadline before they were sent. */
  sweep(): void {
    this.#queue.sweep();
  }

  /** The directory has changed: a stream to a node that is no longer listed is given up. */
  nodesChanged(): void {
    const { nodes } = this.#parts.nodes;
    if (this.#stream !== undefined && !nodes.includes(this.#stream.writer.node)) this.#stream.call.cancel();
  }

  /** Ends the stream for good; returns the votes that were still held and not settled. Nobody holds them then. */
  close(): number[] {
    this.#stopping.abort();
    this.#stream?.call.cancel();
    this.#stream = undefined;
    this.#putBack();
    return this.#queue.takeAll();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (let tries = 0; !signal.aborted; tries++) {
      const writer = await this.#parts.nodes.findWriter();
      if (signal.aborted) return;
      this.#sayRefusal();
      if (writer !== undefined && (await this.#serve(writer))) tries = 0;
      await delay(backoffMs(tries), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Why the shard lets nobody of this router in: once, until it changes. */
  #sayRefusal(): void {
    const { refusal } = this.#parts.nodes;
    if (refusal !== undefined && refusal !== this.#saidRefusal) this.#parts.log.warn({ shard: this.shardId }, refusal);
    this.#saidRefusal = refusal;
  }

  /** Whether the stream has answered anything. */
  async #serve(writer: ShardWriter): Promise<boolean> {
    const { log, nodes } = this.#parts;
    let answered = false;
    const stream: OpenStream = { writer, call: openStream(writer), full: false };
    this.#stream = stream;
    this.#newestBatch = Math.max(this.#newestBatch, Number(writer.batch));
    if (writer.writerEpoch > this.#newestEpoch) this.#newestEpoch = writer.writerEpoch;
    log.info({ shard: nodes.shardId, node: writer.node, writerEpoch: Number(writer.writerEpoch) }, "shard connected");
    this.#parts.onStateChange();
    this.#scheduleFlush();
    try {
      for await (const answer of stream.call.responses) {
        answered = true;
        this.#settle(answer);
      }
      log.info({ shard: nodes.shardId, node: writer.node }, "the shard ended the stream");
    } catch (cause) {
      if (!this.#stopping.signal.aborted) {
        log.warn({ shard: nodes.shardId, node: writer.node, err: cause }, "the stream to the shard broke");
      }
    }
    stream.call.cancel();
    if (this.#stream === stream) this.#stream = undefined;
    this.#putBack();
    this.#parts.onStateChange();
    return answered;
  }

  #scheduleFlush(): void {
    if (this.#flushing || this.#stream === undefined) return;
    this.#flushing = true;
    // What else arrives in this turn of the event loop goes into the same frame.
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const { outstandingFramesMax, outstandingVotesMax } = this.#parts.limits;
    const stream = this.#stream;
    while (
      stream !== undefined &&
      !stream.full &&
      this.#outstanding.size < outstandingFramesMax &&
      this.#outstandingVotes < outstandingVotesMax
    ) {
      const next = this.#queue.next();
      if (next === undefined) return;
      this.#send(stream, next);
    }
  }

  #send(stream: OpenStream, votes: FrameVotes): void {
    const { table, metrics } = this.#parts;
    const frameId = this.#nextFrameId++;
    const sentAtMs = performance.now();
    const span = this.#parts.traces ? this.#spanOf(votes, sentAtMs) : undefined;
    const head = { frameId, mapEpoch: this.#parts.mapEpoch(), nowMs: sentAtMs, traceparent: span?.traceparent };
    const frame = encodeFrame(table, votes, head);
    for (const row of votes.rows) table.sent(row, this.#newestBatch);
    this.#outstanding.set(frameId, { ...votes, sentAtMs, span });
    this.#outstandingVotes += votes.rows.length;
    metrics.frameSent(votes.rows.length);
    if (stream.call.send(new EncodedMessage(frame))) return;
    stream.full = true;
    void stream.call.drained().then(() => {
      stream.full = false;
      this.#scheduleFlush();
    });
  }

  /** Of the one call in the frame whose trace goes with it. */
  #spanOf({ rows }: FrameVotes, sentAtMs: number): TraceSpan | undefined {
    const attributes = { "urna.shard": this.shardId, "urna.frame.votes": rows.length };
    return this.#parts.table.traceOf(rows)?.child("frame", "client", attributes, sentAtMs);
  }

  /** Throws when the answer is not one of ours to settle: the stream is given up then. */
  #settle(bytes: Buffer): void {
    const { table, metrics } = this.#parts;
    const answer = this.#answer;
    answer.read(bytes);
    const { frameId, batches } = answer;
    const frame = this.#outstanding.get(frameId);
    if (frame === undefined) throw new Error(`the shard answered frame ${frameId}, which is not outstanding (I4)`);
    const overloaded = () => this.door.overloaded();
    const unsettled = settleFrame(table, frame.rows, this.#logOf(answer.logOrigin), answer, overloaded);
    this.#settledVotes += lookedAt(answer);
    this.#outstanding.delete(frameId);
    this.#outstandingVotes -= frame.rows.length;
    for (let i = 0; i < batches.length; i++) this.#newestBatch = Math.max(this.#newestBatch, batches.at(i));
    for (const row of frame.rows) table.release(row);
    frame.span?.end();
    metrics.frameAnswered(performance.now() - frame.sentAtMs);
    if (hasAny(unsettled)) this.#parts.reroute(unsettled);
    this.#scheduleFlush();
  }

  /** The same object for the same log, so that what is made of it for receipts is made once. */
  #logOf(origin: string): ShardLog {
    if (this.#log?.origin !== origin) this.#log = { origin, shardId: shardOfLog(origin) };
    return this.#log;
  }

  /** The unanswered frames' votes may be stored: they go first on the next stream. */
  #putBack(): void {
    const { table, metrics } = this.#parts;
    const frames = [...this.#outstanding.values()].reverse();
    this.#outstanding.clear();
    this.#outstandingVotes = 0;
    for (const { election, rows, span } of frames) {
      span?.end("the stream ended before the answer");
      const unsettled = rows.filter((row) => {
        table.lost(row);
        return table.release(row) && this.#mayBeSentAgain(row);
      });
      metrics.sheds.resent("broken_stream", unsettled.length);
      this.#queue.unshift(election, unsettled);
    }
  }

  /** A frame that breaks every stream must end. */
  #mayBeSentAgain(row: number): boolean {
    const { table, metrics, limits } = this.#parts;
    if (table.sends(row) < limits.sendsMax) return true;
    metrics.sheds.gaveUp(1);
    table.refuseSend(row, "SHARD_UNAVAILABLE");
    return false;
  }

  /**
   * The shard is taken out of service. Votes that it was never sent are refused. Those that it was sent may still be stored:
   * they wait for it, or for its next writer, unless they keep others' outcomes back.
   */
  #letGo(): void {
    const { table } = this.#parts;
    for (const row of this.#queue.takeAll()) table.refuseSend(row, this.door.unavailable());
    for (const { rows } of this.#outstanding.values()) {
      for (const row of rows) table.giveUp(row, this.door.unavailable());
    }
  }

  /** Whether the shard is seen to commit: a live one does every second, if only its pulse; another writer has just done so. */
  async #commits(): Promise<boolean> {
    const { nodes, limits } = this.#parts;
    const { signal } = this.#stopping;
    const endsAtMs = performance.now() + limits.trialLimitMs;
    const settled = this.#settledVotes;
    let first: bigint | undefined;
    while (!signal.aborted && performance.now() < endsAtMs) {
      if (this.connected && this.#newestEpoch > this.#stuckEpoch) return true;
      const writer = await nodes.findWriter();
      if (this.connected && this.#settledVotes > settled) return true;
      first ??= writer?.batch;
      if (this.connected && writer !== undefined && first !== undefined && writer.batch > first) return true;
      await delay(trialLookMs, undefined, { signal, ref: false }).catch(() => {});
    }
    return false;
  }

  /** A writer that was frozen or cut off keeps its stream open and answers nothing: looks whether another took over. */
  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    const { patienceMs } = this.#parts.limits;
    while (!signal.aborted) {
      await delay(patienceMs / 10, undefined, { signal, ref: false }).catch(() => {});
      const [oldest] = this.#outstanding.values();
      if (oldest === undefined || performance.now() - oldest.sentAtMs < patienceMs) continue;
      await this.#probe();
    }
  }

  async #probe(): Promise<void> {
    const stream = this.#stream;
    if (this.#probing || stream === undefined) return;
    this.#probing = true;
    const writer = await this.#parts.nodes.findSuccessor(stream.writer);
    this.#probing = false;
    if (writer === undefined || this.#stream !== stream) return;
    this.#parts.log.warn(
      { shard: this.shardId, from: stream.writer.node, to: writer.node },
      "another writer took over",
    );
    stream.call.cancel();
  }
}

function openStream({ client }: ShardWriter) {
  return client.recordVotes({}, asItCame);
}

function hasAny({ wrongShard, wrongDefinition, unknown }: Unsettled): boolean {
  return wrongShard.length + wrongDefinition.length + unknown.length > 0;
}
