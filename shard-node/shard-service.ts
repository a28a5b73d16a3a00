/** ShardService: what routers, the tally and other shards may ask of this node. Everything but the status needs the writer. */
import { fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { CallContext, ServiceImplementation } from "#mesh/service-call.ts";
import type { Tracer } from "#mesh/tracing.ts";
import { definitionHash, electionShape } from "#proto/election-shape.ts";
import type { ElectionDefinition, ElectionOnShardSchema } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionDefinitionSchema, ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import type { ShardNodeStatusSchema } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import type {
  ElectionRecordSchema,
  FindVoteRequest,
  PutElectionRequest,
  RecountVotesRequest,
  RecountVotesResponseSchema,
  ShardService,
} from "#proto/generated/urna/v1/shard_service_pb.js";
import { keyHashBytes, nullifierBytes } from "#proto/limits.ts";
import { formatLogOrigin } from "#proto/log-origin.ts";
import { RejectionError } from "#proto/rejections.ts";
import { homeSlotSource } from "#proto/slots.ts";
import { homeSteps } from "./control-steps.ts";
import { findVote, type Read, recountVotes } from "./count-reader.ts";
import { watchCounts } from "./count-stream.ts";
import type { ElectionEntry, HomeRecord } from "./election-book.ts";
import { ledgerCalls } from "./ledger-calls.ts";
import type { ShardMetrics } from "./metrics.ts";
import type { ShardNode } from "./node.ts";
import type { ReaderPool } from "./reader-pool.ts";
import type { Reconciler } from "./reconciler.ts";
import type { StandbyMonitor } from "./standby-monitor.ts";
import { recordVotes } from "./vote-intake.ts";
import type { Writer } from "./writer.ts";

export type ShardServiceParts = {
  readonly name: string;
  readonly shardId: number;
  readonly node: ShardNode;
  readonly readers: ReaderPool;
  readonly reconciler: Reconciler;
  readonly monitor: StandbyMonitor;
  readonly metrics: ShardMetrics;
  /** Undefined: no traces. */
  readonly tracer?: Tracer | undefined;
};

export function shardService(parts: ShardServiceParts): ServiceImplementation<typeof ShardService> {
  const { node, readers, reconciler, shardId, metrics, tracer } = parts;
  return {
    recordVotes: (requests, call) => recordVotes(node, metrics, requests, call, tracer),
    watchCounts: (request, call) => {
      const { writer, checkpoint, ended } = node.requireWriter();
      const signal = AbortSignal.any([call.signal, ended]);
      return endingWith(ended, watchCounts(writer, checkpoint, readers, Number(request.afterBatch), signal));
    },
    recountVotes: (request, call) => recount(node.requireWriter().writer, readers, request, call),
    findVote: async (request, call) => await find(node.requireWriter().writer, readers, request, call),
    putElection: async (request) => {
      const { writer } = node.requireWriter();
      return { record: recordOf(await putHome(writer, request), true) };
    },
    listHomeElections: async ({ electionId, withoutDefinitions }) => {
      const { book } = node.requireWriter().writer;
      const records = [...book.homes()].filter((home) => electionId === "" || home.electionId === electionId);
      return { records: records.map((record) => recordOf(record, !withoutDefinitions)) };
    },
    reconcileElection: async ({ electionId }) => ({
      election: onShard(shardId, await reconciler.reconcile(electionId)),
    }),
    getShardElection: async ({ electionId }) => {
      const entry = requireElection(node.requireWriter().writer, electionId);
      return { definition: entry.shape.definition, election: onShard(shardId, entry) };
    },
    getShardStatus: async () => ({ status: statusOf(parts) }),
    ...ledgerCalls(node, readers),
  };
}

/** A stream that ends because this node is the writer no more says so; its reader then looks for the new one. */
async function* endingWith<T>(ended: AbortSignal, messages: AsyncIterable<T>): AsyncGenerator<T> {
  yield* messages;
  if (ended.aborted) throw new RejectionError("SHARD_UNAVAILABLE", "this node is the writer no more");
}

function requireElection(writer: Writer, electionId: string): ElectionEntry {
  const entry = writer.book.entry(electionId);
  if (entry === undefined) throw new RejectionError("UNKNOWN_ELECTION", `no election has the id "${electionId}"`);
  return entry;
}

async function* recount(
  writer: Writer,
  readers: ReaderPool,
  request: RecountVotesRequest,
  call: CallContext,
): AsyncGenerator<MessageInitShape<typeof RecountVotesResponseSchema>> {
  const election = requireElection(writer, request.electionId);
  const throughBatch = Number(request.throughBatch);
  if (throughBatch > writer.feed.durableBatch) {
    const reach = writer.feed.durableBatch;
    throw new RejectionError("NOT_FOUND", `batch ${throughBatch} is beyond batch ${reach}, which this shard reaches`);
  }
  const { signal } = call;
  const read: Read = (work) => readers.use(work, signal);
  for await (const step of recountVotes(read, election.number, election.shape, throughBatch)) {
    if (step.kind === "progress") yield { part: { case: "progress", value: BigInt(step.rows) } };
    else yield { part: { case: "counts", value: { electionId: election.id, ...step } } };
  }
}

async function find(writer: Writer, readers: ReaderPool, request: FindVoteRequest, call: CallContext) {
  const { nullifier, keyHash } = request;
  if (nullifier.length !== nullifierBytes || keyHash.length !== keyHashBytes) {
    throw new RejectionError("INVALID_REQUEST", "a nullifier and a key hash have 16 bytes each");
  }
  const { number } = requireElection(writer, request.electionId);
  const { durableBatch } = writer.feed;
  const leaf = await readers.use((client) => findVote(client, number, nullifier, keyHash, durableBatch), call.signal);
  const logOrigin = formatLogOrigin(writer.head);
  return { found: leaf !== undefined, leafIndex: BigInt(leaf ?? 0), logOrigin };
}

/** Commits at the home shard; answers the record that stands. */
async function putHome(writer: Writer, request: PutElectionRequest): Promise<HomeRecord> {
  const { electionId, requestedBy } = request;
  // Two homes could let two definitions of one id win: the shard asserts what the router has computed.
  if (!writer.ownership.owns(homeSlotSource(electionId), 0)) {
    throw new RejectionError("WRONG_SHARD", `this shard is not the home of "${electionId}"`);
  }
  const record = request.definition === undefined ? undefined : newRecord(request, request.definition);
  const wantedState = request.wantedState === ElectionState.UNSPECIFIED ? ElectionState.CREATED : request.wantedState;
  await writer.control((book) => homeSteps(book, { electionId, record, wantedState, requestedBy }));
  const stands = writer.book.home(electionId);
  if (stands === undefined) throw new Error("an election that was put at its home is not in the book");
  return stands;
}

function newRecord(request: PutElectionRequest, definition: ElectionDefinition): HomeRecord {
  electionShape(definition);
  if (definition.electionId !== request.electionId) {
    throw new RejectionError("INVALID_REQUEST", "election_id is not the definition's");
  }
  return {
    electionId: request.electionId,
    definition: Buffer.from(toBinary(ElectionDefinitionSchema, definition, { writeUnknownFields: false })),
    definitionHash: definitionHash(definition),
    wrappedKey: Buffer.from(request.wrappedKey),
    wantedState: ElectionState.CREATED,
    createdAtMs: Date.now(),
    requestedBy: request.requestedBy,
  };
}

function recordOf(home: HomeRecord, whole: boolean): MessageInitShape<typeof ElectionRecordSchema> {
  return {
    electionId: home.electionId,
    definitionHash: home.definitionHash,
    wrappedKey: home.wrappedKey,
    wantedState: home.wantedState,
    createdAt: timestampFromMs(home.createdAtMs),
    requestedBy: home.requestedBy,
    ...(whole ? { definition: fromBinary(ElectionDefinitionSchema, home.definition) } : {}),
  };
}

function onShard(shardId: number, entry: ElectionEntry): MessageInitShape<typeof ElectionOnShardSchema> {
  const { state, openBatch, closeBatch } = entry;
  return { shardId, state, openBatch: BigInt(openBatch), closeBatch: BigInt(closeBatch) };
}

/** Why a node that should write does not serve; empty when it serves. A spare serves by waiting. */
export function notReadyBecause(parts: Pick<ShardServiceParts, "node" | "monitor">): string {
  const { node, monitor } = parts;
  if (node.state.kind === "spare") return node.state.because;
  if (node.state.writer.notReadyBecause !== "") return node.state.writer.notReadyBecause;
  return monitor.state.state === "sync" ? "" : "no synchronous standby of a known name is connected";
}

function statusOf(parts: ShardServiceParts): MessageInitShape<typeof ShardNodeStatusSchema> {
  const { node, monitor, name, shardId } = parts;
  const common = {
    shardId,
    node: name,
    notReadyBecause: notReadyBecause(parts),
    standbyState: monitor.state.state,
    standbyLagBytes: BigInt(monitor.state.lagBytes),
  };
  if (node.state.kind === "spare") return { ...common, role: ShardRole.SPARE };
  const { writer } = node.state;
  return {
    ...common,
    role: ShardRole.WRITER,
    writerEpoch: BigInt(writer.head.writerEpoch),
    batch: BigInt(writer.feed.durableBatch),
    votes: BigInt(writer.head.treeSize),
    waitingVotes: BigInt(writer.waitingVotes),
    mapEpoch: BigInt(writer.head.mapEpoch),
    slots: writer.ownership.ranges.map(([first, last]) => ({ first, last })),
  };
}
