/**
 * A shard node. In the order in which a vote meets them:
 *
 *   config           what the environment says
 *   shard-service    the calls; vote-intake reads frames of votes from routers and answers them
 *   vote-frame       a frame while its votes wait; vote-queue holds them, bounded
 *   node             spare or writer; spare-watch waits for the writer's silence, takeover is the fence
 *   writer           one batch after the other, and what became of each
 *   batch            seals votes: vote-lookup finds repeats, election-book says what is open, leaf numbers, count deltas
 *   batch-ledger     the leaves that a batch adds, and the tree over all; shard-key signs it, tile-store reads it again
 *   batch-commit     the transaction; clean-commit says whether it counts, fenced-look-up when that stayed unknown, sqlstate
 *                    what a failure means
 *   count-feed       what is durable; count-stream sends it to the tally, count-reader reads it from the tables,
 *                    count-snapshots keeps that reading short
 *   reconciler       copies elections from their home shards (home-reader) as control-steps
 *   published-checkpoint  the newest signed head; witness and witnessed-takeover compare the ledger with what was published,
 *                    ledger-reader proves it, election-result signs what an election came to
 *   announcement     how the node stands, for the registry
 *   drain            how the node ends
 *   frame-trace      where the time of a recorded frame goes
 *   map-claim        which slots are this shard's, for the map that routers follow
 *   standby-monitor  the standby's state; metrics; postgres-session every connection, reader-pool those that read
 */
import { randomBytes } from "node:crypto";
import { Announcing } from "#mesh/announcing.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import { createLogger } from "#mesh/log.ts";
import { openMesh } from "#mesh/mesh.ts";
import { runService } from "#mesh/service-process.ts";
import { openTelemetry } from "#mesh/telemetry.ts";
import { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";
import { transportBytesMax } from "#proto/limits.ts";
import { standingOf } from "./announcement.ts";
import { readConfig } from "./config.ts";
import { drainShardNode } from "./drain.ts";
import { HomeReader } from "./home-reader.ts";
import { MapClaim } from "./map-claim.ts";
import { ShardMetrics } from "./metrics.ts";
import { ShardNode } from "./node.ts";
import { ReaderPool } from "./reader-pool.ts";
import { Reconciler } from "./reconciler.ts";
import { readShardKey } from "./shard-key.ts";
import { notReadyBecause, shardService } from "./shard-service.ts";
import { StandbyMonitor } from "./standby-monitor.ts";
import { Witness } from "./witness.ts";
import { WitnessFile } from "./witness-file.ts";

const config = readConfig();
const log = createLogger(config.name, config.logLevel);
const key = readShardKey(config.shardKeyFile);

await runService(
  config.name,
  async (life) => {
    const process = `${config.name}/${randomBytes(6).toString("hex")}`;
    const mesh = await openMesh(config.mesh, log, { startsWithoutMap: true });
    const telemetry = await openTelemetry({ service: "urna-shard", config, mesh, log });
    const { registry, tracer } = telemetry;
    const metrics = new ShardMetrics(registry);
    const { directory, identity, intentions } = mesh;
    const witnessFile = new WitnessFile(config.stateFolder);
    const witness = new Witness({ shardId: config.shardId, directory, identity, key, file: witnessFile, log });
    const node = new ShardNode({
      ...config,
      key,
      witness,
      witnessFile,
      writer: { name: process, keyFingerprint: key.fingerprint },
      hasEnded: (writer) => directory.hasEnded(writer),
      log,
      metrics,
    });
    const homes = new HomeReader(directory, identity);
    const readers = new ReaderPool(config.address);
    const reconciler = new Reconciler(config.shardId, node, homes, log);
    const monitor: StandbyMonitor = new StandbyMonitor(config.address, log, () => showState());
    const parts = { name: config.name, shardId: config.shardId, node, readers, reconciler, monitor, metrics, tracer };
    const server = new GrpcServer([bind(ShardService, shardService(parts))], {
      log,
      identity,
      intentions,
      telemetry: telemetry.inner(),
      messageBytesMax: transportBytesMax,
    });

    let draining = false;
    const showState = () => {
      if (draining) return;
      const writing = node.state.kind === "writing" && notReadyBecause(parts) === "";
      server.setServing(ShardService.typeName, writing);
      server.setServing("", writing || (node.state.kind === "spare" && node.state.because === ""));
      const waitingVotes = node.state.kind === "writing" ? node.state.writer.waitingVotes : 0;
      metrics.observe({ waitingVotes, standbyLagBytes: monitor.state.lagBytes, writing });
    };

    const grpc = await server.listen(config.grpcListen);
    const metricsServer = await telemetry.listen(config.metricsListen);
    const announced = {
      ...parts,
      process,
      grpc,
      metricsServer,
      waitingVotesMax: config.queueLimits.votesMax,
      troubles: () => [directory.trouble, identity?.trouble ?? ""],
    };
    const announcing = new Announcing(mesh.announcer, () => standingOf(announced));
    const mapClaim = new MapClaim(node, mesh.mapPublisher);
    node.onChange(() => {
      showState();
      mapClaim.tell();
      announcing.tell();
    });
    monitor.start();
    reconciler.start(config.reconcileEveryMs);
    node.run().catch((error: unknown) => life.fail(error));

    const endHealth = () => {
      draining = true;
      server.setServing(ShardService.typeName, false);
      server.setServing("", false);
    };
    const drained = { ...parts, mesh, announcing, homes, server, metricsServer, endHealth };
    const { drainSettleMs: settleMs, drainGraceMs: graceMs } = config;
    return { drain: () => drainShardNode({ ...drained, settleMs, graceMs }) };
  },
  log,
);
