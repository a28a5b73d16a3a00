/**
 * The tally's process. Its files, in the order in which a count meets them:
 *
 *   config.ts                what can be set
 *   tally.ts                 opens all parts; drain.ts closes them
 *   shard-roster.ts          the shards of the directory, a follower for each
 *   shard-peers.ts           finds a shard's writer among its nodes
 *   shard-follower.ts        folds one shard's count stream, exactly once and in order
 *   shard-stream.ts          reads a stream message by message, within time limits
 *   witness.ts               the highest checkpoint of each shard, kept for ever
 *   shard-witness.ts         judges what a shard signs (signed-checkpoint.ts) and says what is wrong (witness-findings.ts)
 *   witness-file.ts          the file that outlives the process; witness-record.ts is an entry of it
 *   election-definitions.ts  fetches the definition of an election that is new
 *   shard-reading.ts         how far a shard is read, and since when it is missing
 *   count-book.ts            the counts of all elections at the vector that was folded
 *   election-counts.ts       one election's counts by shard, leaf region and cell
 *   paged-counts.ts          a row of counts that can be frozen cheaply
 *   region-tree.ts           an election's regions: children, leaves, contests
 *   audit-board.ts           what auditors reported, and whether it is fresh
 *   frame-maker.ts           makes frames, at most ten a second
 *   frame.ts                 everything at one cut, encoded once
 *   region-tally.ts          the counts of one region as callers read them
 *   tally-service.ts         answers GetTally, GetTallyTable, WatchTally, Recount
 *   witness-service.ts       answers GetHighestCheckpoint, ReportVerified
 *   table-rows.ts            a part of a table
 *   view-publisher.ts        gives Redis what routers want, so that they need not ask
 *   watchers.ts              serves all who watch on one beat, latest wins
 *   frame-holders.ts         bounds the calls that keep a frame
 *   recount.ts               counts the rows and compares; shard-rows.ts asks the shards, row-comparison.ts compares
 *   health.ts                what the health service says
 *   announcement.ts          what the registry is told
 *   metrics.ts               what Prometheus is told
 */
import { setFlagsFromString } from "node:v8";
import { createLogger } from "#mesh/log.ts";
import { openMesh } from "#mesh/mesh.ts";
import { runService } from "#mesh/service-process.ts";
import { readConfig } from "./config.ts";
import { openTally } from "./tally.ts";

// What the tally throws away, ten times a second, is the frame before: large, and soon replaced. Left to itself the heap
// grows to several times what is alive before it is cleaned; this lets it grow by a third.
setFlagsFromString("--heap-growing-percent=30");

const config = readConfig();
const log = createLogger(config.name, config.logLevel);
await runService(
  config.name,
  async ({ fail, stop }) => {
    const mesh = await openMesh(config.mesh, log);
    return openTally({ config, mesh, log, fail, startAnew: stop });
  },
  log,
);
