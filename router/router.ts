/** A router with all its parts, opened in the order in which a vote meets them. */
import { createSecretKey } from "node:crypto";
import { Announcing } from "#mesh/announcing.ts";
import { ConnectServer } from "#mesh/connect-server.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { HostPort } from "#mesh/host-port.ts";
import type { Logger } from "#mesh/log.ts";
import type { Mesh } from "#mesh/mesh.ts";
import { RedisLink } from "#mesh/redis-link.ts";
import type { ServiceBinding } from "#mesh/service-call.ts";
import type { Telemetry } from "#mesh/telemetry.ts";
import { openTelemetry } from "#mesh/telemetry.ts";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { MeshService } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { ViewNames } from "#proto/published-tally.ts";
import { AdminToken } from "./admin-token.ts";
import type { AdmissionLimits } from "./admission.ts";
import { Admission } from "./admission.ts";
import { standingOf } from "./announcement.ts";
import { Casting } from "./casting.ts";
import type { RouterConfig } from "./config.ts";
import {
  admissionLimits,
  drainGraceMs,
  drainSettleMs,
  fanoutLimits,
  healthTickMs,
  linkLimits,
  lookUpLimitMs,
  memoryLimits,
  streamAgeMs,
  streamVotesMax,
} from "./config.ts";
import { drainRouter } from "./drain.ts";
import { ElectionCache } from "./election-cache.ts";
import { electionService, readHome } from "./election-service.ts";
import { Gate } from "./gate.ts";
import { RouterHealth } from "./health.ts";
import { ledgerService } from "./ledger-service.ts";
import { meshService } from "./mesh-service.ts";
import type { RouterGauges } from "./metrics.ts";
import { RouterMetrics } from "./metrics.ts";
import type { ResendLimits } from "./resends.ts";
import { RetryAdvice } from "./retry-advice.ts";
import type { LinkLimits } from "./shard-link.ts";
import { ShardLinks } from "./shard-links.ts";
import { TallyFanout } from "./tally-fanout.ts";
import { TallyMemory } from "./tally-memory.ts";
import { TallyRelay } from "./tally-relay.ts";
import { encodedVoteService, voteService } from "./vote-service.ts";
import { VoteTable } from "./vote-table.ts";
import { webHandler } from "./web-files.ts";

export type Router = {
  readonly grpc: HostPort;
  readonly connect: HostPort;
  readonly metrics: HostPort;
  /** Votes that the router holds now. */
  readonly heldVotes: () => number;
  /** Stops as SIGTERM would. */
  drain(): Promise<void>;
};

export type RouterOptions = {
  readonly config: RouterConfig;
  /** Closed with the router. */
  readonly mesh: Mesh;
  readonly log: Logger;
  /** Other limits than the usual ones. */
  readonly limits?: Partial<
    AdmissionLimits & LinkLimits & ResendLimits & { readonly drainSettleMs: number; readonly streamAgeMs: number }
  >;
};

/** One stream must not fill a router. */
function streamVotesMaxOf({ waitingVotesMax }: RouterConfig): number {
  return Math.min(streamVotesMax, waitingVotesMax - 1);
}

/** Undefined when no Redis is named. */
function openFanout({ name, redis: place }: RouterConfig, deployment: string, log: Logger): TallyFanout | undefined {
  if (place === undefined) return undefined;
  const link = new RedisLink({ place, name, log });
  const memory = new TallyMemory(memoryLimits);
  return new TallyFanout({ link, names: new ViewNames(deployment), memory, limits: fanoutLimits, log });
}

function makeServers(bindings: readonly ServiceBinding[], { config, mesh, log }: RouterOptions, telemetry: Telemetry) {
  const { identity, intentions } = mesh;
  const { allowedOrigins, connectionAge, webRoot } = config;
  const grpcTelemetry = telemetry.entrance("grpc");
  const grpc = new GrpcServer(bindings, { log, identity, intentions, telemetry: grpcTelemetry, connectionAge });
  const connect = new ConnectServer(bindings, {
    log,
    telemetry: telemetry.entrance("connect"),
    allowedOrigins,
    fallback: webHandler(webRoot),
  });
  return { grpc, connect };
}

function gaugesOf(links: ShardLinks, admission: Admission): RouterGauges {
  return {
    waitingVotes: () => links.links.reduce((sum, { waiting }) => sum + waiting, 0),
    waitingBytes: () => admission.bytes,
    outstandingVotes: () => links.links.reduce((sum, link) => sum + link.held - link.waiting, 0),
    connectedShards: () => links.links.filter(({ connected }) => connected).length,
  };
}

export async function openRouter({ config, mesh, log, limits }: RouterOptions): Promise<Router> {
  const { directory, identity } = mesh;
  const telemetry = await openTelemetry({ service: "urna-router", config, mesh, log });
  const { registry } = telemetry;
  const metrics = new RouterMetrics(registry);
  const gate = new Gate();
  const routerKey = createSecretKey(config.routerKey);
  const admission = new Admission({ ...admissionLimits, votesMax: config.waitingVotesMax, ...limits });
  const table = new VoteTable(admission);
  const cache = new ElectionCache((electionId) => readHome(links, electionId, lookUpLimitMs), routerKey, log);
  const full = new RetryAdvice("OVERLOADED", () => links.pauseMs(admission.votes));
  const casting = new Casting({ cache, table, log, overloaded: () => full.next(), metrics: metrics.sheds });
  let tellHealth = () => {};
  const links = new ShardLinks({
    table,
    directory,
    identity,
    limits: { ...linkLimits, ...limits },
    metrics,
    log,
    traces: telemetry.tracer !== undefined,
    onStateChange: () => tellHealth(),
    refuseOutdated: (rows) => casting.refuseOutdated(rows),
    shareOf: (shards) => admission.shareOf(shards),
  });
  casting.connect(links);
  const fanout = openFanout(config, directory.current.deployment, log);
  const relay = new TallyRelay({ directory, identity }, fanout);
  const voteParts = {
    casting,
    metrics,
    cache,
    links,
    gate,
    streamVotesMax: streamVotesMaxOf(config),
    streamAgeMs,
    ...limits,
  };
  const troubles = () => [directory.trouble, fanout?.trouble() ?? "", identity?.trouble ?? ""];
  const adminToken = new AdminToken(config.adminToken);
  const bindings = [
    bind(VoteService, voteService(voteParts), encodedVoteService(voteParts)),
    bind(ElectionService, electionService({ links, cache, routerKey, gate, adminToken })),
    bind(LedgerService, ledgerService({ links, gate, adminToken })),
    bind(TallyService, relay.service),
    bind(MeshService, meshService(links, directory, troubles)),
  ];
  const { grpc, connect } = makeServers(bindings, { config, mesh, log }, telemetry);
  const metricsServer = await telemetry.listen(config.metricsListen);
  const addresses = {
    grpc: await grpc.listen(config.grpcListen),
    connect: await connect.listen(config.connectListen),
    metrics: { host: metricsServer.host, port: metricsServer.port },
  };
  const announced = { name: config.name, addresses, links, admission, directory, troubles };
  const announcing = new Announcing(mesh.announcer, () => standingOf(announced));
  const health = new RouterHealth(grpc, links, { directory, identity });
  tellHealth = () => health.update();
  const ticker = setInterval(() => {
    health.update();
    void health.probeTally();
  }, healthTickMs);
  void health.probeTally();
  metrics.watch(registry, gaugesOf(links, admission));
  metrics.sheds.watch(registry, () => links.links);
  metrics.watchTally(registry, relay, fanout);
  log.info(addresses, "the router serves");
  const settleMs = limits?.drainSettleMs ?? drainSettleMs;
  const parts = { gate, health, admission, casting, relay, grpc, connect, mesh, announcing, ticker, settleMs };
  const drain = () => drainRouter({ ...parts, metrics: metricsServer, graceMs: drainGraceMs });
  return { ...addresses, heldVotes: () => admission.votes, drain };
}
