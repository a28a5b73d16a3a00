/**
 * Votes for all shards at a fixed rate, and what became of them shard by shard. Sends start at fixed times whatever is under
 * way. A vote's shard is known from its receipt alone: nobody outside can tell before, so what is refused has none.
 */
import { setTimeout as delay } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { LatencyHistogram } from "#bench/latency-histogram.ts";
import { LogNames, OutcomeReader } from "#bench/outcome-reader.ts";
import type { Workload } from "#bench/workload.ts";
import { rejectionFromStatus } from "#mesh/rejection-status.ts";
import { CastVoteResponseSchema } from "#proto/generated/urna/v1/vote_service_pb.js";
import { parseLogOrigin } from "#proto/log-origin.ts";

export type TrafficPlan = {
  readonly routers: readonly string[];
  readonly workload: Workload;
  /** 1: unary calls; more: batches of so many. */
  readonly votesPerCall: number;
  readonly votesPerSecond: number;
  readonly deadlineMs: number;
};

/** What happened in a stretch of time. Outcomes count where they arrived, latencies where the call was scheduled. */
export type Stretch = {
  readonly seconds: number;
  readonly offered: number;
  /** Recorded votes by shard. */
  readonly recorded: Readonly<Record<string, number>>;
  /** Refused votes and failed calls' votes, by reason or gRPC code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Of refusals: milliseconds from the scheduled time of the call. */
  readonly refusedP50Ms: number;
  readonly refusedP99Ms: number;
  /** Of recorded votes of the shards that were asked for. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Calls under way at the most. */
  readonly callsMax: number;
};

class Account {
  readonly startMs = performance.now();
  readonly recorded = new Map<string, number>();
  readonly refused = new Map<string, number>();
  readonly latency = new LatencyHistogram();
  readonly refusalLatency = new LatencyHistogram();
  offered = 0;
  callsMax = 0;
}

const noMetadata = new Metadata();
const sameBytes = (bytes: Buffer) => bytes;

export class ShardTraffic {
  readonly #plan: TrafficPlan;
  readonly #clients: readonly Client[];
  readonly #logs = new LogNames();
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #account = new Account();
  /** Shards whose latency is not taken. */
  #without: string | undefined;
  #calls = 0;

  constructor(plan: TrafficPlan) {
    this.#plan = plan;
    // One connection to each router: what one shard's votes take up on it, the others' votes lack.
    const options = { "grpc.use_local_subchannel_pool": 1, "grpc.max_receive_message_length": -1 };
    this.#clients = plan.routers.map((address) => new Client(address, credentials.createInsecure(), options));
    this.#running = this.#run();
  }

  /** Counts anew for so long. `without` is a shard whose latencies are of no interest. */
  async stretch(seconds: number, without?: string): Promise<Stretch> {
    const account = new Account();
    this.#account = account;
    this.#without = without;
    await delay(seconds * 1_000);
    const passed = (performance.now() - account.startMs) / 1_000;
    this.#account = new Account();
    return {
      seconds: passed,
      offered: account.offered,
      recorded: Object.fromEntries([...account.recorded].sort()),
      refused: Object.fromEntries([...account.refused].sort()),
      refusedP50Ms: account.refusalLatency.quantileMs(0.5),
      refusedP99Ms: account.refusalLatency.quantileMs(0.99),
      p50Ms: account.latency.quantileMs(0.5),
      p99Ms: account.latency.quantileMs(0.99),
      callsMax: account.callsMax,
    };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    for (const client of this.#clients) client.close();
  }

  async #run(): Promise<void> {
    const { votesPerCall, votesPerSecond } = this.#plan;
    const { signal } = this.#stopping;
    const everyMs = (votesPerCall * 1_000) / votesPerSecond;
    const startMs = performance.now();
    for (let sent = 0; !signal.aborted; ) {
      const nowMs = performance.now();
      for (; startMs + sent * everyMs <= nowMs; sent++) this.#send(sent, startMs + sent * everyMs);
      await delay(Math.min(Math.max(0, startMs + sent * everyMs - nowMs), 5));
    }
  }

  #send(turn: number, scheduledMs: number): void {
    const { workload, votesPerCall, deadlineMs } = this.#plan;
    const client = this.#clients[turn % this.#clients.length] as Client;
    const account = this.#account;
    account.offered += votesPerCall;
    this.#calls += 1;
    account.callsMax = Math.max(account.callsMax, this.#calls);
    client.makeUnaryRequest(
      votesPerCall === 1 ? "/urna.v1.VoteService/CastVote" : "/urna.v1.VoteService/CastVoteBatch",
      sameBytes,
      sameBytes,
      workload.next(votesPerCall),
      noMetadata,
      { deadline: Date.now() + deadlineMs },
      (error, response) => {
        this.#calls -= 1;
        if (error !== null) {
          this.#refused(rejectionFromStatus(error)?.reason ?? `code ${error.code}`, votesPerCall, scheduledMs);
        } else if (response !== undefined) this.#read(response, scheduledMs);
      },
    );
  }

  #read(response: Buffer, scheduledMs: number): void {
    if (this.#plan.votesPerCall === 1) {
      this.#recorded(fromBinary(CastVoteResponseSchema, response).receipt?.logOrigin ?? "", scheduledMs);
      return;
    }
    const reader = new OutcomeReader(response, this.#logs);
    while (reader.next()) {
      if (reader.isReceipt) this.#recorded(this.#logs.names[reader.log] ?? "", scheduledMs);
      else this.#refused(reader.rejection().reason, 1, scheduledMs);
    }
  }

  #recorded(logOrigin: string, scheduledMs: number): void {
    const shard = String(parseLogOrigin(logOrigin)?.shardId);
    const { recorded, latency, startMs } = this.#account;
    recorded.set(shard, (recorded.get(shard) ?? 0) + 1);
    if (shard !== this.#without && scheduledMs >= startMs) latency.record(performance.now() - scheduledMs, 1);
  }

  #refused(reason: string, votes: number, scheduledMs: number): void {
    const { refused, refusalLatency, startMs } = this.#account;
    refused.set(reason, (refused.get(reason) ?? 0) + votes);
    if (scheduledMs >= startMs) refusalLatency.record(performance.now() - scheduledMs, votes);
  }
}
