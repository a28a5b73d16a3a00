/**
 * For tests: a shard node as the router sees it, on a real loopback server, whose answers to frames a test writes down. It
 * stores nothing; what it is there for is the behaviour on the wire.
 */
import { create } from "@bufbuild/protobuf";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { ServiceImplementation } from "#mesh/service-call.ts";
import { definitionHash } from "#proto/election-shape.ts";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import type {
  ElectionRecord,
  RecordVotesRequest,
  RecordVotesResponse,
} from "#proto/generated/urna/v1/shard_service_pb.js";
import {
  ElectionRecordSchema,
  RecordOutcome,
  RecordVotesResponseSchema,
  ShardService,
} from "#proto/generated/urna/v1/shard_service_pb.js";
import { nullifierBytes } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

/** What the test makes of a frame; undefined leaves it unanswered. */
export type FrameScript = (
  frame: RecordVotesRequest,
  shard: ScriptedShard,
) => RecordVotesResponse | undefined | Promise<RecordVotesResponse | undefined>;

/** Elections at their homes, which all shards of one test share. */
export type Homes = Map<string, ElectionRecord>;

/** The calls about the shard's ledger, as far as a test scripts them. */
export type LedgerScript = {
  -readonly [Call in LedgerCall]?: ShardCalls[Call];
};

type LedgerCall = "getShardCheckpoint" | "proveInclusion" | "proveConsistency" | "getShardResult" | "acceptShardLoss";

export class ScriptedShard {
  readonly shardId: number;
  readonly homes: Homes;
  readonly frames: RecordVotesRequest[] = [];
  script: FrameScript = recordAll;
  /** What a test does not script is answered INTERNAL. */
  ledger: LedgerScript = {};
  role = ShardRole.WRITER;
  writerEpoch = 1n;
  batch = 0n;
  leaves = 0n;
  #server: GrpcServer | undefined;
  #address = "";
  readonly #breakers = new Set<(failure: RejectionError | undefined) => void>();

  constructor(shardId: number, homes: Homes = new Map()) {
    this.shardId = shardId;
    this.homes = homes;
  }

  get address(): string {
    return this.#address;
  }

  async start(port = 0): Promise<this> {
    this.#server = new GrpcServer([bind(ShardService, this.#service())], { messageBytesMax: 32 * 1024 * 1024 });
    const bound = await this.#server.listen(`127.0.0.1:${port}`);
    this.#address = `127.0.0.1:${bound.port}`;
    return this;
  }

  /** Ends every stream; what was not answered stays so. */
  breakStreams(failure = new RejectionError("SHARD_UNAVAILABLE", "this node is the writer no more")): void {
    for (const breakStream of this.#breakers) breakStream(failure);
  }

  async stop(): Promise<void> {
    for (const breakStream of this.#breakers) breakStream(undefined);
    await this.#server?.close(0);
  }

  #service(): ServiceImplementation<typeof ShardService> {
    return {
      recordVotes: (requests) => this.#record(requests),
      watchCounts: refuse,
      recountVotes: refuse,
      findVote: async ({ keyHash }) => ({
        found: keyHash[0] !== 0,
        leafIndex: 5n,
        logOrigin: `test/shard/${this.shardId}`,
      }),
      putElection: async (request) => ({ record: this.#put(request) }),
      listHomeElections: async ({ electionId }) => {
        this.#demandWriter();
        const own = [...this.homes.values()];
        return { records: own.filter((record) => electionId === "" || record.electionId === electionId) };
      },
      reconcileElection: async ({ electionId }) => ({ election: this.#stand(electionId) }),
      getShardElection: async ({ electionId }) => ({ election: this.#stand(electionId) }),
      getShardCheckpoint: async (request, call) => (this.ledger.getShardCheckpoint ?? unscripted)(request, call),
      proveInclusion: async (request, call) => (this.ledger.proveInclusion ?? unscripted)(request, call),
      proveConsistency: async (request, call) => (this.ledger.proveConsistency ?? unscripted)(request, call),
      getShardResult: async (request, call) => (this.ledger.getShardResult ?? unscripted)(request, call),
      acceptShardLoss: async (request, call) => (this.ledger.acceptShardLoss ?? unscripted)(request, call),
      getShardStatus: async () => ({
        status: {
          shardId: this.shardId,
          node: `shard-${this.shardId}`,
          role: this.role,
          writerEpoch: this.writerEpoch,
          batch: this.batch,
        },
      }),
    };
  }

  #demandWriter(): void {
    if (this.role !== ShardRole.WRITER) throw new RejectionError("SHARD_UNAVAILABLE", "this node is a spare");
  }

  async *#record(requests: AsyncIterable<RecordVotesRequest>): AsyncGenerator<RecordVotesResponse> {
    this.#demandWriter();
    const answers: RecordVotesResponse[] = [];
    let failure: RejectionError | undefined;
    let ended = false;
    let wake = () => {};
    const breakStream = (cause: RejectionError | undefined) => {
      failure = cause;
      ended = true;
      wake();
    };
    this.#breakers.add(breakStream);
    const read = async () => {
      for await (const frame of requests) {
        this.frames.push(frame);
        const answer = await this.script(frame, this);
        if (answer !== undefined) answers.push(answer);
        wake();
      }
      breakStream(undefined);
    };
    read().catch(() => breakStream(undefined));
    try {
      for (;;) {
        yield* answers.splice(0);
        if (answers.length > 0) continue;
        if (failure !== undefined) throw failure;
        if (ended) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      this.#breakers.delete(breakStream);
    }
  }

  #put({ electionId, definition, wrappedKey, wantedState, requestedBy }: Parameters<ShardCalls["putElection"]>[0]) {
    this.#demandWriter();
    const stands = this.homes.get(electionId);
    if (definition !== undefined && stands === undefined) {
      const hash = definitionHash(definition);
      const init = { electionId, definition, definitionHash: hash, wrappedKey, wantedState, requestedBy };
      this.homes.set(electionId, create(ElectionRecordSchema, init));
    } else if (definition !== undefined && stands?.definition !== undefined) {
      if (!definitionHash(definition).equals(stands.definitionHash)) throw new RejectionError("ELECTION_EXISTS");
    } else if (stands === undefined) throw new RejectionError("UNKNOWN_ELECTION");
    else stands.wantedState = wantedState;
    return this.homes.get(electionId) ?? create(ElectionRecordSchema, {});
  }

  #stand(electionId: string) {
    this.#demandWriter();
    const record = this.homes.get(electionId);
    if (record === undefined) throw new RejectionError("UNKNOWN_ELECTION");
    const isOpen = record.wantedState >= ElectionState.OPEN;
    return { shardId: this.shardId, state: record.wantedState, openBatch: isOpen ? 1n : 0n };
  }
}

type ShardCalls = ServiceImplementation<typeof ShardService>;

/** The same outcome for every vote of a frame, in one new batch. */
export function answerAll(
  frame: RecordVotesRequest,
  shard: ScriptedShard,
  outcome: RecordOutcome,
): RecordVotesResponse {
  return answerEach(frame, shard, () => outcome);
}

export function answerEach(
  frame: RecordVotesRequest,
  shard: ScriptedShard,
  outcomeOf: (index: number, nullifier: Buffer) => RecordOutcome,
): RecordVotesResponse {
  shard.batch += 1n;
  const outcomes = frame.regions.map((_, index) =>
    outcomeOf(index, Buffer.from(frame.nullifiers.subarray(index * nullifierBytes, (index + 1) * nullifierBytes))),
  );
  const isStored = (outcome: RecordOutcome) => outcome === RecordOutcome.RECORDED || outcome === RecordOutcome.REPEAT;
  return create(RecordVotesResponseSchema, {
    frameId: frame.frameId,
    outcomes,
    leafIndexes: outcomes.map((outcome) => (isStored(outcome) ? shard.leaves++ : 0n)),
    batches: outcomes.map((outcome) => (isStored(outcome) ? shard.batch : 0n)),
    logOrigin: `test/shard/${shard.shardId}`,
  });
}

export const recordAll: FrameScript = (frame, shard) => answerAll(frame, shard, RecordOutcome.RECORDED);

/** A script for each frame in turn; the last one goes on for ever. */
export function inTurn(...scripts: readonly FrameScript[]): FrameScript {
  let turn = 0;
  return (frame, shard) => {
    const script = scripts[Math.min(turn, scripts.length - 1)] ?? recordAll;
    turn += 1;
    return script(frame, shard);
  };
}

async function unscripted(): Promise<never> {
  throw new Error("not scripted");
}

// biome-ignore lint/correctness/useYield: it refuses before its first message.
async function* refuse(): AsyncGenerator<never> {
  throw new Error("not scripted");
}
