/** One small running cluster with elections in every state, the ways of casting into it, and its rows counted behind its back. */
import type { DescMethod, JsonValue } from "@bufbuild/protobuf";
import { create, fromJson, toBinary, toJsonString } from "@bufbuild/protobuf";
import pg from "pg";
import type { OpeningTimes, VoteInit } from "#bench/bad-input-elections.ts";
import { closed, definitionOf, sealed, timed, town, unopened } from "#bench/bad-input-elections.ts";
import type { RawAnswer } from "#bench/raw-answer.ts";
import { postConnect } from "#bench/raw-connect.ts";
import { framed, RawGrpc } from "#bench/raw-grpc.ts";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { waitFor } from "#deploy/wait-for.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import type { GetTallyResponse } from "#proto/generated/urna/v1/tally_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import type { Outcome } from "#proto/generated/urna/v1/vote_pb.js";
import {
  CastVoteBatchRequestSchema,
  CastVoteRequestSchema,
  CastVotesRequestSchema,
  VoteService,
} from "#proto/generated/urna/v1/vote_service_pb.js";
import { batchRequestVotesMax } from "#proto/limits.ts";

const cheapest = { shards: 1, routers: 1, spares: 0, portBase: 0, sharedBuffersMb: 64 } as const;
const callLimitMs = 10_000;
const tallyLimitMs = 10_000;
const openForMs = 1_500;

/** A request that casts one vote: protobuf, and the same in JSON. */
export function castVoteRequest(vote: VoteInit) {
  const request = create(CastVoteRequestSchema, { vote });
  return { bytes: toBinary(CastVoteRequestSchema, request), json: toJsonString(CastVoteRequestSchema, request) };
}

/** The same for many votes. */
export function castVoteBatchRequest(votes: VoteInit[]) {
  const request = create(CastVoteBatchRequestSchema, { votes });
  return {
    bytes: toBinary(CastVoteBatchRequestSchema, request),
    json: toJsonString(CastVoteBatchRequestSchema, request),
  };
}

/** One message of a stream of votes, as it goes on the wire. */
export function castVotesFrame(vote: VoteInit, sequence = 1n): Buffer {
  return framed(toBinary(CastVotesRequestSchema, create(CastVotesRequestSchema, { sequence, vote })));
}

export function inParts<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < items.length; at += size) parts.push(items.slice(at, at + size));
  return parts;
}

export class BadInputRig {
  readonly cluster: EmbeddedCluster;
  /** Of the router. */
  readonly grpcAddress: string;
  readonly connectUrl: string;
  readonly grpc: RawGrpc;
  readonly votes: Client<typeof VoteService>;
  readonly elections: Client<typeof ElectionService>;
  readonly tally: Client<typeof TallyService>;
  readonly #postgres: pg.Client;
  readonly #pids: ReadonlyMap<string, number>;

  private constructor(cluster: EmbeddedCluster, postgres: pg.Client) {
    const [router] = cluster.endpoints.routers;
    if (router === undefined) throw new Error("the cluster has no router");
    this.cluster = cluster;
    this.#postgres = postgres;
    this.#pids = new Map(cluster.processNames().map((name) => [name, cluster.pid(name)]));
    this.grpcAddress = router.grpc;
    this.connectUrl = router.connect;
    this.grpc = new RawGrpc(router.grpc);
    this.votes = createClient(VoteService, router.grpc);
    this.elections = createClient(ElectionService, router.grpc);
    this.tally = createClient(TallyService, router.grpc);
  }

  static async start(): Promise<BadInputRig> {
    const cluster = await EmbeddedCluster.start(cheapest);
    const postgres = new pg.Client({ connectionString: cluster.ownerUrl(0) });
    const rig = new BadInputRig(cluster, postgres);
    try {
      await postgres.connect();
      await rig.#holdElections();
    } catch (error) {
      await rig.stop();
      throw error;
    }
    return rig;
  }

  async stop(): Promise<void> {
    for (const client of [this.votes, this.elections, this.tally]) client.close();
    this.grpc.cut();
    await this.#postgres.end().catch(() => {});
    await this.cluster.stop();
  }

  /** Processes that have ended since the start: a supervisor starts them again, so that they serve proves nothing. */
  fallen(): string[] {
    return [...this.#pids].filter(([name, pid]) => this.cluster.pid(name) !== pid).map(([name]) => name);
  }

  get asAdmin(): { authorization: string } {
    return { authorization: `Bearer ${this.cluster.adminToken()}` };
  }

  /** Votes that are stored, whatever anybody says about them. */
  async rows(): Promise<number> {
    const { rows } = await this.#postgres.query<{ rows: string }>("SELECT count(*) AS rows FROM urna.votes");
    return Number(rows[0]?.rows);
  }

  castUnary(vote: VoteInit, headers: Readonly<Record<string, string>> = {}): Promise<RawAnswer> {
    return this.grpc.call("VoteService/CastVote", framed(castVoteRequest(vote).bytes), headers);
  }

  castJson(vote: VoteInit, headers: Readonly<Record<string, string>> = {}): Promise<RawAnswer> {
    return this.postJson("VoteService/CastVote", castVoteRequest(vote).json, headers);
  }

  postJson(method: string, json: string, headers: Readonly<Record<string, string>> = {}): Promise<RawAnswer> {
    return postConnect(this.connectUrl, method, json, headers);
  }

  /** The same question over gRPC and over Connect JSON, of unary calls and of streams from the server. */
  async ask(method: DescMethod, request: JsonValue, headers: Readonly<Record<string, string>> = {}) {
    const path = `${method.parent.name}/${method.name}`;
    const body = framed(toBinary(method.input, fromJson(method.input, request)));
    const json = JSON.stringify(request);
    const isUnary = method.methodKind === "unary";
    const type = isUnary ? {} : { "content-type": "application/connect+json" };
    const text = isUnary ? json : framed(Buffer.from(json));
    return await Promise.all([
      this.grpc.call(path, body, headers),
      postConnect(this.connectUrl, path, text, { ...type, ...headers }),
    ]);
  }

  async castBatch(votes: VoteInit[]): Promise<readonly Outcome[]> {
    return (await this.votes.castVoteBatch({ votes }, { deadlineMs: callLimitMs })).outcomes;
  }

  /** Each by a call of its own over Connect JSON, when the one before has been answered. */
  async castOneByOne(votes: readonly VoteInit[]): Promise<RawAnswer[]> {
    const answers: RawAnswer[] = [];
    for (const vote of votes) answers.push(await this.castJson(vote));
    return answers;
  }

  /** Casts the votes in batches; "none" stands for a rejection. */
  async receiptsOf(votes: readonly VoteInit[]): Promise<string[]> {
    const batches = await Promise.all(inParts(votes, batchRequestVotesMax).map((part) => this.castBatch(part)));
    return batches.flat().map(({ result }) => (result.case === "receipt" ? result.value.receiptId : "none"));
  }

  /** The first frame that holds so many ballots or more. */
  async tallyOf(electionId: string, regionId: string, ballots: number): Promise<GetTallyResponse> {
    return await waitFor(`${ballots} ballots in the tally of ${electionId}`, tallyLimitMs, async () => {
      const tally = await this.tally.getTally({ electionId, regionId }, { deadlineMs: callLimitMs });
      return Number(tally.region?.ballots) >= ballots ? tally : undefined;
    });
  }

  async #holdElections(): Promise<void> {
    const opensAtMs = Date.now();
    const closesAtMs = opensAtMs + openForMs;
    const options = { deadlineMs: callLimitMs, headers: this.asAdmin };
    const make = (electionId: string, times?: OpeningTimes) =>
      this.elections.createElection({ definition: definitionOf(electionId, times) }, options);
    const open = (electionId: string) =>
      make(electionId).then(() => this.elections.openElection({ electionId }, options));
    await Promise.all([
      make(timed, { opensAtMs, closesAtMs }),
      open(town),
      open(sealed),
      open(closed).then(() => this.elections.closeElection({ electionId: closed }, options)),
      make(unopened),
    ]);
    await waitFor("closes_at to pass", 2 * openForMs, () => Date.now() > closesAtMs || undefined);
  }
}
