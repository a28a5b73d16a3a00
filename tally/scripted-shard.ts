/**
 * Shard nodes for the tests of this room: they speak the real protocol over real gRPC, and say what the test wrote into
 * their log. Two nodes with one log are a writer and its spare.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { CallContext, ServiceImplementation } from "#mesh/service-call.ts";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import type {
  RecountVotesRequest,
  RecountVotesResponse,
  WatchCountsRequest,
  WatchCountsResponse,
} from "#proto/generated/urna/v1/shard_service_pb.js";
import { RecountVotesResponseSchema, ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import type { Delta, MessageContent } from "./sample-election.ts";
import { cell, columns, countsMessage } from "./sample-election.ts";
import type { ScriptedLedger } from "./scripted-ledger.ts";

/** What a shard has committed: one entry a batch, the first at index 0. */
export class ShardLog {
  readonly definitions = new Map<string, ElectionDefinition>();
  /** What the rows of votes come to; like the counts, unless a test tampers with it. */
  rows: Delta[] = [];
  #batches: Omit<MessageContent, "from" | "through">[] = [];
  #grown = Promise.withResolvers<void>();

  get length(): number {
    return this.#batches.length;
  }

  append(...batches: Omit<MessageContent, "from" | "through">[]): void {
    this.#batches.push(...batches);
    this.rows.push(...batches.flatMap(({ deltas = [] }) => deltas));
    this.#wake();
  }

  /** As if the disk had lost them. */
  lose(batches: number): void {
    this.#batches = this.#batches.slice(0, -batches);
  }

  message(batch: number): WatchCountsResponse {
    const message = countsMessage({ ...this.#batches[batch - 1], from: batch });
    message.stamp = timestampFromMs(Date.now());
    return message;
  }

  /** Resolves when the log has grown, or the signal is aborted. */
  grown(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    return this.#grown.promise;
  }

  #wake(): void {
    this.#grown.resolve();
    this.#grown = Promise.withResolvers();
  }
}

export class ShardNode {
  role = ShardRole.WRITER;
  /** While set, the streams say nothing, as those of a process that is frozen. */
  silent = false;
  /** Definitions that it refuses to give, one call each. */
  definitionFailures = 0;
  /** The `after_batch` of every stream that was asked for. */
  readonly streamsAfter: bigint[] = [];
  /** May send something else than a batch, or nothing. */
  distort: (message: WatchCountsResponse) => readonly WatchCountsResponse[] = (message) => [message];
  /** What it signs, of how many leaves: sent with each message. A shard without a ledger signs nothing. */
  ledger: { readonly of: ScriptedLedger; readonly size: number } | undefined;
  readonly #shardId: number;
  readonly #log: ShardLog;
  readonly #server: GrpcServer;
  #streams = new AbortController();
  #address = "";

  private constructor(shardId: number, log: ShardLog) {
    this.#shardId = shardId;
    this.#log = log;
    this.#server = new GrpcServer([bind(ShardService, this.#implementation())]);
  }

  static async start(shardId: number, log: ShardLog, address = "127.0.0.1:0"): Promise<ShardNode> {
    const node = new ShardNode(shardId, log);
    const { host, port } = await node.#server.listen(address);
    node.#address = `${host}:${port}`;
    return node;
  }

  get address(): string {
    return this.#address;
  }

  /** Ends all streams, as a writer does that is deposed. */
  cutStreams(): void {
    const streams = this.#streams;
    this.#streams = new AbortController();
    streams.abort();
  }

  async stop(): Promise<void> {
    this.cutStreams();
    await this.#server.close(0);
  }

  #implementation(): ServiceImplementation<typeof ShardService> {
    const refuse = () => Promise.reject(new RejectionError("SHARD_UNAVAILABLE"));
    return {
      recordVotes: refuseStream,
      findVote: refuse,
      putElection: refuse,
      listHomeElections: refuse,
      reconcileElection: refuse,
      getShardElection: async ({ electionId }) => this.#election(electionId),
      getShardStatus: async () => ({
        status: { shardId: this.#shardId, role: this.role, batch: BigInt(this.#log.length) },
      }),
      watchCounts: (request, call) => this.#watchCounts(request, call),
      recountVotes: (request) => this.#recountVotes(request),
      getShardCheckpoint: async () => {
        const { of, size } = this.#demandLedger();
        return { signedNote: of.note(size), verifierKey: of.verifierKey };
      },
      proveConsistency: async ({ oldSize, newSize }) => ({
        hashes: this.#demandLedger().of.consistency(Number(oldSize), Number(newSize)),
      }),
      proveInclusion: refuse,
      getShardResult: refuse,
      acceptShardLoss: refuse,
    };
  }

  #election(electionId: string) {
    this.#demandWriter();
    if (this.definitionFailures > 0) {
      this.definitionFailures -= 1;
      throw new RejectionError("INTERNAL");
    }
    const definition = this.#log.definitions.get(electionId);
    if (definition === undefined) throw new RejectionError("UNKNOWN_ELECTION");
    return { definition };
  }

  async *#watchCounts({ afterBatch }: WatchCountsRequest, call: CallContext): AsyncGenerator<WatchCountsResponse> {
    this.#demandWriter();
    this.streamsAfter.push(afterBatch);
    const over = AbortSignal.any([call.signal, this.#streams.signal]);
    for (let batch = Number(afterBatch) + 1; !over.aborted; ) {
      if (batch > this.#log.length || this.silent) await this.#log.grown(over);
      else yield* this.distort(this.#withCheckpoint(this.#log.message(batch++)));
    }
    throw new RejectionError("SHARD_UNAVAILABLE");
  }

  async *#recountVotes({ electionId }: RecountVotesRequest): AsyncGenerator<RecountVotesResponse> {
    this.#demandWriter();
    const ballots = this.#log.rows.filter(([, at]) => at === cell.ballots).length;
    yield create(RecountVotesResponseSchema, { part: { case: "progress", value: BigInt(ballots) } });
    yield create(RecountVotesResponseSchema, {
      part: { case: "counts", value: columns(electionId, this.#log.rows) },
    });
  }

  #withCheckpoint(message: WatchCountsResponse): WatchCountsResponse {
    if (this.ledger !== undefined) message.checkpoint = this.ledger.of.note(this.ledger.size);
    return message;
  }

  #demandLedger() {
    this.#demandWriter();
    if (this.ledger === undefined) throw new RejectionError("SHARD_UNAVAILABLE");
    return this.ledger;
  }

  #demandWriter(): void {
    if (this.role !== ShardRole.WRITER) throw new RejectionError("SHARD_UNAVAILABLE");
  }
}

// biome-ignore lint/correctness/useYield: it refuses before its first message.
async function* refuseStream(): AsyncGenerator<never> {
  throw new RejectionError("SHARD_UNAVAILABLE");
}
