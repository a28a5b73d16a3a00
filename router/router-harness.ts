/** For tests: a whole router on loopback, in front of scripted shards, with one open election. */
import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { Directory, DirectoryView } from "#mesh/directory.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { Logger } from "#mesh/log.ts";
import { createLogger } from "#mesh/log.ts";
import { plaintextMesh } from "#mesh/mesh.ts";
import { fileMesh } from "#mesh/mesh-config.ts";
import type { RedisPlace } from "#mesh/redis-place.ts";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ContestKind, ElectionDefinitionSchema, KeyKind } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import type { Outcome } from "#proto/generated/urna/v1/vote_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { evenSlotRanges } from "#proto/slots.ts";
import { admissionLimits, connectionEnd } from "./config.ts";
import type { Router, RouterOptions } from "./router.ts";
import { openRouter } from "./router.ts";
import type { Homes } from "./scripted-shard.ts";
import { ScriptedShard } from "./scripted-shard.ts";

export const adminToken = "test-admin-token";
export const asAdmin = { headers: { authorization: `Bearer ${adminToken}` } };
export const electionId = "e";

/** A directory that a test changes by hand. */
export class HandDirectory implements Directory {
  readonly #listeners = new Set<(view: DirectoryView) => void>();
  current: DirectoryView;
  refreshes = 0;
  readonly trouble = "";
  /** What `refresh` finds. */
  onRefresh: () => void = () => {};

  constructor(view: DirectoryView) {
    this.current = view;
  }

  set(view: DirectoryView): void {
    this.current = view;
    for (const listener of this.#listeners) listener(view);
  }

  onChange(listener: (view: DirectoryView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  hasEnded(): boolean {
    return false;
  }

  async refresh(): Promise<void> {
    this.refreshes += 1;
    this.onRefresh();
  }

  close(): void {
    this.#listeners.clear();
  }
}

export type Harness = {
  readonly router: Router;
  readonly directory: HandDirectory;
  readonly shards: readonly ScriptedShard[];
  readonly votes: Client<typeof VoteService>;
  readonly elections: Client<typeof ElectionService>;
  readonly connectUrl: string;
  close(): Promise<void>;
};

export function definition(overrides: { title?: string; keyKind?: KeyKind } = {}): ElectionDefinition {
  return create(ElectionDefinitionSchema, {
    electionId,
    title: "Test",
    keyKind: KeyKind.VOTER,
    contests: [
      {
        contestId: "mayor",
        kind: ContestKind.PLURALITY,
        options: [{ optionId: "ada" }, { optionId: "bob" }],
      },
      {
        contestId: "council",
        kind: ContestKind.PLURALITY,
        options: [{ optionId: "x" }, { optionId: "y" }, { optionId: "z" }],
        maxSelections: 2,
        regionIds: ["north"],
      },
    ],
    regions: [{ regionId: "north/one" }, { regionId: "north/two" }, { regionId: "south/one" }],
    ...overrides,
  });
}

export function viewOf(shards: readonly ScriptedShard[], epoch = 1, tally = "127.0.0.1:1"): DirectoryView {
  const ranges = evenSlotRanges(shards.length);
  const entries = shards.map(({ shardId, address }, index) => {
    const range = ranges[index];
    return { shardId, slots: range === undefined ? [] : [range], nodes: [address] };
  });
  return { deployment: "test", map: { epoch, shards: entries }, tally };
}

export async function startHarness(
  options: {
    shardCount?: number;
    limits?: RouterOptions["limits"];
    election?: ElectionDefinition;
    tally?: string;
    log?: Logger;
  } = {},
): Promise<Harness> {
  const homes: Homes = new Map();
  const count = options.shardCount ?? 1;
  const shards = await Promise.all(Array.from({ length: count }, (_, id) => new ScriptedShard(id, homes).start()));
  const directory = new HandDirectory(viewOf(shards, 1, options.tally));
  const harness = await openHarness(directory, options.limits, options.log);
  await harness.elections.createElection({ definition: options.election ?? definition() }, asAdmin);
  await harness.elections.openElection({ electionId }, asAdmin);
  const close = async () => {
    await harness.close();
    await Promise.all(shards.map((shard) => shard.stop()));
  };
  return { ...harness, directory, shards, close };
}

/** A router in front of whatever the directory names. */
export async function openHarness(
  directory: HandDirectory,
  limits: RouterOptions["limits"] = {},
  log: Logger = createLogger("router-test", "silent"),
  redis?: RedisPlace,
) {
  const config = {
    name: "router-test",
    logLevel: "silent",
    mesh: fileMesh(""),
    grpcListen: "127.0.0.1:0",
    connectListen: "127.0.0.1:0",
    metricsListen: "127.0.0.1:0",
    allowedOrigins: [],
    connectionAge: { ageMs: 3_600_000, ...connectionEnd },
    waitingVotesMax: admissionLimits.votesMax,
    webRoot: undefined,
    adminToken,
    routerKey: randomBytes(32),
    redis,
  };
  const router = await openRouter({
    config,
    mesh: plaintextMesh(directory),
    log,
    limits: { drainSettleMs: 100, ...limits },
  });
  const address = `127.0.0.1:${router.grpc.port}`;
  const votes = createClient(VoteService, address);
  const elections = createClient(ElectionService, address);
  const close = async () => {
    votes.close();
    elections.close();
    await router.drain();
  };
  return { router, votes, elections, connectUrl: `http://127.0.0.1:${router.connect.port}`, close };
}

export function vote(voterId: string, idempotencyKey: Uint8Array = randomBytes(16)) {
  return {
    electionId,
    voter: { case: "voterId" as const, value: voterId },
    regionId: "north/one",
    selections: [{ contestId: "mayor", optionIds: ["ada"] }],
    idempotencyKey,
  };
}

export function shardOf({ shards }: Pick<Harness, "shards">, index = 0): ScriptedShard {
  const shard = shards[index];
  if (shard === undefined) throw new Error(`no shard ${index}`);
  return shard;
}

/** "recorded", "repeat", or the reason. */
export function named({ result, repeat }: Outcome): string {
  if (result.case === "rejection") return result.value.reason;
  return repeat ? "repeat" : "recorded";
}
