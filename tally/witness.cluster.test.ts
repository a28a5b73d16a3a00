import { readFileSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fromJsonString } from "@bufbuild/protobuf";
import pg from "pg";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { ElectionDefinitionSchema } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";
import { parseCheckpoint } from "#proto/ledger/checkpoint.ts";
import {
  decodeLedgerKey,
  formatVerifierKey,
  parseVerifierKey,
  publicKeyOf,
  verifyNote,
} from "#proto/ledger/signed-note.ts";

const startLimitMs = 120_000;
const testLimitMs = 90_000;
const waitLimitMs = 20_000;
const electionId = "town";
let cluster: EmbeddedCluster;
let votes: Client<typeof VoteService>;
let tallies: Client<typeof TallyService>;
let witness: Client<typeof WitnessService>;

beforeAll(async () => {
  cluster = await EmbeddedCluster.start({ shards: 1, routers: 1, spares: 0 });
  const router = cluster.endpoints.routers[0]?.grpc ?? "";
  votes = createClient(VoteService, router);
  tallies = createClient(TallyService, router);
  witness = createClient(WitnessService, cluster.endpoints.tally.grpc);
  const elections = createClient(ElectionService, router);
  const town = await readFile(join(import.meta.dirname, "../docs/town.json"), "utf8");
  const headers = { authorization: `Bearer ${cluster.adminToken()}` };
  await elections.createElection({ definition: fromJsonString(ElectionDefinitionSchema, town) }, { headers });
  await elections.openElection({ electionId }, { headers });
  elections.close();
}, startLimitMs);

afterAll(async () => {
  for (const client of [votes, tallies, witness]) client?.close();
  await cluster?.stop();
}, startLimitMs);

/** A router lets votes in to a shard that was away once it has seen it commit again: until then they are refused. */
async function cast(...voters: string[]): Promise<void> {
  for (const voter of voters) {
    const vote = { electionId, voter: { case: "voterId", value: voter } as const, regionId: "north/ward-1" };
    await vi.waitFor(() => votes.castVote({ vote }, { deadlineMs: 10_000 }), { timeout: waitLimitMs, interval: 100 });
  }
}

/** Verified with the shard's own key, and by nothing that the tally says. */
async function highest(): Promise<{ size: number; note: Buffer }> {
  const note = Buffer.from((await witness.getHighestCheckpoint({ shardId: 0 }, { deadlineMs: 2_000 })).signedNote);
  const key = publicKeyOf(decodeLedgerKey(readFileSync(cluster.paths.shardKeyFile(0), "utf8")));
  const verifier = parseVerifierKey(formatVerifierKey("urna/shard/0", key));
  return { size: parseCheckpoint(verifyNote(note, [verifier]).text).size, note };
}

const onceAt = (size: number) =>
  vi.waitFor(
    async () => {
      const found = await highest();
      expect(found.size).toBe(size);
      return found;
    },
    { timeout: waitLimitMs, interval: 20 },
  );

test("a tally that was killed has its highest checkpoint at once, before a shard can say a word, and goes on from it (I8)", {
  timeout: testLimitMs,
}, async () => {
  await cast("v-1", "v-2", "v-3");
  const before = await onceAt(3);
  await cluster.stopProcess("shard-0-a");
  const file = join(cluster.paths.stateFolder("tally"), "checkpoints.json");
  const onDisk = () => expect(readFileSync(file, "utf8")).toContain("urna/shard/0\\n3\\n");
  await vi.waitFor(onDisk, { timeout: waitLimitMs, interval: 20 });
  await cluster.kill("tally");
  const after = await vi.waitFor(highest, { timeout: waitLimitMs, interval: 20 });
  expect(after.note).toEqual(before.note);
  await cluster.startProcess("shard-0-a");
  await cluster.waitUntilServing();
  await cast("v-4");
  await onceAt(4);
});

test("what an auditor reports to the tally is on the frames that routers serve, as far as is counted (I7)", {
  timeout: testLimitMs,
}, async () => {
  await witness.reportVerified({ verified: [{ shardId: 0, batch: 1_000_000n }], findings: ["shard 0: leaf 3"] });
  await vi.waitFor(
    async () => {
      const { cut } = await tallies.getTally({ electionId });
      expect(cut?.auditFindings).toEqual(["shard 0: leaf 3"]);
      expect(cut?.verifiedThrough).toEqual(cut?.vector);
    },
    { timeout: waitLimitMs, interval: 20 },
  );
});

/** As an administrator with all rights to the database could: the last leaves are gone, and whatever tells of them. */
async function cutOff(leaves: number): Promise<void> {
  const client = new pg.Client({ connectionString: cluster.ownerUrl(0) });
  await client.connect();
  try {
    await client.query(`
      DELETE FROM urna.votes WHERE leaf_index >= ${leaves};
      DELETE FROM urna.batches WHERE tree_size > ${leaves};
      UPDATE urna.head SET tree_size = ${leaves}, batch_number = (SELECT max(number) FROM urna.batches)`);
  } finally {
    await client.end();
  }
}

test("votes that were cut off stop the shard by the tally's word alone; once the loss is accepted, all is counted anew and the loss stays on view (I7, I8)", {
  timeout: testLimitMs,
}, async () => {
  await cast("v-5", "v-6");
  const { size } = await onceAt(6);
  await cluster.stopProcess("shard-0-a");
  await cutOff(size - 2);
  rmSync(cluster.paths.stateFolder("shard-0-a"), { recursive: true });
  await cluster.startProcess("shard-0-a");
  const shard = createClient(ShardService, cluster.endpoints.shards[0]?.nodes[0]?.grpc ?? "");
  try {
    const refuses = async () => {
      const { status } = await shard.getShardStatus({}, { deadlineMs: 2_000 });
      expect(status?.notReadyBecause).toMatch(/the tally has a checkpoint .* 2 acknowledged votes are missing/);
    };
    await vi.waitFor(refuses, { timeout: waitLimitMs, interval: 50 });
    const pid = cluster.pid("tally");
    const { logOrigin } = await shard.acceptShardLoss({ requestedBy: "an operator" }, { deadlineMs: 20_000 });
    expect(logOrigin).toBe("urna/shard/0/2");
    await cluster.untilRestarted("tally", pid);
  } finally {
    shard.close();
  }
  await vi.waitFor(
    async () => {
      const { cut, region } = await tallies.getTally({ electionId }, { deadlineMs: 2_000 });
      expect(region?.ballots).toBe(4n);
      expect(cut?.missing).toEqual([]);
      expect(cut?.auditFindings).toEqual([expect.stringMatching(/generation 2 .* 6 leaves, .* at least 2 leaves are/)]);
    },
    { timeout: waitLimitMs, interval: 50 },
  );
});
