/** A tally with all its parts, opened in the order in which a count meets them. */
import { Announcing } from "#mesh/announcing.ts";
import { ConnectServer } from "#mesh/connect-server.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { HostPort } from "#mesh/host-port.ts";
import type { Logger } from "#mesh/log.ts";
import type { Mesh } from "#mesh/mesh.ts";
import { RedisLink } from "#mesh/redis-link.ts";
import { openTelemetry } from "#mesh/telemetry.ts";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";
import { ViewNames } from "#proto/published-tally.ts";
import { standingOf } from "./announcement.ts";
import { AuditBoard } from "./audit-board.ts";
import type { TallyConfig } from "./config.ts";
import {
  auditLimits,
  definitionDeadlineMs,
  drainGraceMs,
  followerTimes,
  frameAgeMsMax,
  publisherLimits,
  publisherTimes,
  recountLimits,
  rowCounterTimes,
  serviceLimits,
  tableLimits,
  tickMs,
  watcherLimits,
  witnessTimes,
} from "./config.ts";
import { CountBook } from "./count-book.ts";
import { drainTally } from "./drain.ts";
import { ElectionDefinitions } from "./election-definitions.ts";
import { FrameHolders } from "./frame-holders.ts";
import { FrameMaker } from "./frame-maker.ts";
import { TallyHealth } from "./health.ts";
import { TallyMetrics } from "./metrics.ts";
import type { FollowerTimes } from "./shard-follower.ts";
import { systemClock } from "./shard-reading.ts";
import { ShardRoster } from "./shard-roster.ts";
import { rowCounter } from "./shard-rows.ts";
import { TallyCalls } from "./tally-service.ts";
import { ViewPublisher } from "./view-publisher.ts";
import { Watchers } from "./watchers.ts";
import { Witness } from "./witness.ts";
import { witnessCalls } from "./witness-service.ts";

export type Tally = {
  readonly grpc: HostPort;
  readonly connect: HostPort;
  readonly metrics: HostPort;
  /** Stops as SIGTERM would. */
  drain(): Promise<void>;
};

export type TallyOptions = {
  readonly config: TallyConfig;
  /** Closed with the tally. */
  readonly mesh: Mesh;
  readonly log: Logger;
  /** Other times than the usual ones. */
  readonly times?: Partial<FollowerTimes>;
  /** Called once the tally can no longer be trusted: the process must end, and its successor begins anew. */
  fail(cause: unknown): void;
  /** Called when the tally must drain, and its successor fold everything anew; perhaps more than once. */
  startAnew(reason: string): void;
};

export async function openTally({ config, mesh, log, fail, startAnew, ...options }: TallyOptions): Promise<Tally> {
  const { directory, identity, intentions } = mesh;
  const telemetry = await openTelemetry({ service: "urna-tally", config, mesh, log });
  const clock = systemClock;
  const book = new CountBook();
  const times = { ...followerTimes, ...options.times };
  const definitions = new ElectionDefinitions(definitionDeadlineMs);
  const { deployment } = directory.current;
  const { stateFolder, allowedOrigins } = config;
  const witness = await Witness.open({ stateFolder, deployment, clock, times: witnessTimes, log });
  const roster = new ShardRoster({ book, definitions, witness, identity, clock, times, log, fail, startAnew });
  roster.update(directory.current);
  directory.onChange((view) => roster.update(view));
  // A restarted tally must come after the one before it, which lived for longer than a millisecond.
  const incarnation = BigInt(clock.wallMs()) * 1_000n;
  const audits = new AuditBoard(auditLimits, clock, () => witness.findings);
  const frames = new FrameMaker({ incarnation, book, readings: roster.readings, audits, clock, frameAgeMsMax });
  const watchers = new Watchers(watcherLimits);
  const calls = new TallyCalls({
    frames,
    watchers,
    tableHolders: new FrameHolders(tableLimits, clock),
    recountHolders: new FrameHolders(recountLimits, clock),
    countRows: rowCounter(roster.peers, rowCounterTimes),
    shardIds: () => book.shardIds,
    limits: serviceLimits,
  });
  const binding = bind(TallyService, calls);
  // Shard nodes and auditors come by gRPC; no page in a browser has anything to say here.
  const witnessing = bind(WitnessService, witnessCalls({ witness, audits, shardIds: () => book.shardIds }));
  const grpc = new GrpcServer([binding, witnessing], { log, identity, intentions, telemetry: telemetry.inner() });
  const connect = new ConnectServer([binding], { log, telemetry: telemetry.entrance("connect"), allowedOrigins });
  const publisher = openPublisher(config, deployment, log, (tookMs) => measured.beatPublished(tookMs));
  const measured = new TallyMetrics(telemetry.registry, { book, roster, watchers, witness, audits, clock, publisher });
  const metrics = await telemetry.listen(config.metricsListen);
  const addresses = {
    grpc: await grpc.listen(config.grpcListen),
    connect: await connect.listen(config.connectListen),
    metrics: { host: metrics.host, port: metrics.port },
  };
  const health = new TallyHealth(grpc, roster.readings);
  const announced = { name: config.name, addresses, readings: roster.readings, watchers, audits };
  const announcing = new Announcing(mesh.announcer, () =>
    standingOf({
      ...announced,
      troubles: () => [directory.trouble, publisher?.trouble() ?? "", identity?.trouble ?? ""],
    }),
  );
  const tick = () => {
    if (frames.tick()) measured.frameMade();
    watchers.tick(clock.monotonicMs(), frames.current);
    publisher?.tick(clock.monotonicMs(), frames.current);
    health.update();
    witness.tick();
  };
  const ticker = setInterval(tick, tickMs);
  log.info(addresses, "the tally serves");
  const served = { frames, watchers, publisher, health, grpc, connect, metrics };
  const parts = { mesh, announcing, roster, witness, ...served, ticker, graceMs: drainGraceMs };
  return { ...addresses, drain: () => drainTally(parts) };
}

/** Undefined when no Redis is named. */
function openPublisher(
  { name, redis: place }: TallyConfig,
  deployment: string,
  log: Logger,
  beatEnded: (tookMs: number) => void,
): ViewPublisher | undefined {
  if (place === undefined) return undefined;
  const link = new RedisLink({ place, name, log, times: publisherTimes });
  return new ViewPublisher({ link, names: new ViewNames(deployment), limits: publisherLimits, log, beatEnded });
}
