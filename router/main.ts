/**
 * The router's process. Its files, in the order in which a vote meets them:
 *
 *   config.ts            what can be set
 *   router.ts            opens all parts; drain.ts closes them
 *   vote-service.ts      the calls that cast votes; call-deadline.ts says by when they are answered
 *   gate.ts              whether the router still takes votes
 *   batch-request.ts     a batch, read from its bytes; repeated-texts.ts finds its ids again
 *   received-votes.ts    votes as they came, column by column
 *   vote-calls.ts        a call, a batch: who waits for which vote; stream-call.ts, a stream
 *   casting.ts           a vote's way: admitted, checked, made anonymous, handed to its shard
 *   vote-table.ts        all votes until their one outcome; admission.ts bounds how many there are
 *   election-cache.ts    the election it is for; election-key.ts unwraps its key
 *   ballot-form.ts       whether it fits the election's definition
 *   nullifier.ts         what the shards know of its voter
 *   shard-links.ts       which shard it belongs to
 *   shard-door.ts        whether that shard takes another vote; shard-breaker.ts takes it out of service
 *   shard-link.ts        that shard's stream, queue and unanswered frames; vote-queue.ts, queue-age.ts, vote-frame.ts
 *   resends.ts           votes that the shard sent back; retry-advice.ts says when to come back oneself
 *   batch-answer.ts      the outcomes of a batch, and its response; outcome-messages.ts, those of other calls
 *   shard-nodes.ts       which of the shard's nodes is its writer; backoff.ts between tries
 *   election-service.ts  creating, opening, closing elections; admin-token.ts says who may
 *   ledger-service.ts    checkpoints, proofs and signed results, passed on from the shards
 *   tally-relay.ts       counts, published or passed on from the tally; shared-watch.ts serves all who watch the same
 *   tally-fanout.ts      what the tally publishes through Redis; tally-memory.ts keeps it, in order
 *   view-watch.ts        a region's frames, from Redis or from the tally
 *   mesh-service.ts      how all shard nodes stand
 *   web-files.ts         the web page
 *   health.ts            what the health service says
 *   metrics.ts           what Prometheus is told; shed-metrics.ts, of what was refused or sent again
 */
import { setFlagsFromString } from "node:v8";
import { createLogger } from "#mesh/log.ts";
import { openMesh } from "#mesh/mesh.ts";
import { runService } from "#mesh/service-process.ts";
import { readConfig } from "./config.ts";
import { openRouter } from "./router.ts";

// Left to itself the heap grows to several times what is alive before it is cleaned: measured 210 MB resident at the most in a
// replay of 799,014 votes, and 165 with these, for no more CPU a vote (2-core machine, Node 24.21, 2026-11-25).
setFlagsFromString("--semi-space-growth-factor=1");
setFlagsFromString("--heap-growing-percent=100");

const config = readConfig();
const log = createLogger(config.name, config.logLevel);
await runService(config.name, async () => openRouter({ config, mesh: await openMesh(config.mesh, log), log }), log);
