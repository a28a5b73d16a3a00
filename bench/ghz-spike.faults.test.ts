/**
 * A spike against a router that is full: another caller keeps it so, for ghz and a cluster that share two cores would have to
 * be lucky to overload it by themselves.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { findGhz } from "#deploy/go-tool.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { ghzCommand } from "./ghz-rig.ts";
import { BatchSender } from "./vote-senders.ts";
import { Workload } from "./workload.ts";

const missing = await toolSkipReason("ghz", findGhz);
/** The fewest votes that a router may be told to hold. */
const routerVotes = 1_000;
/** Nearly all of them: now and then a single vote finds room. */
const crowdVotes = 996;
const crowdBatches = 4;

describe.skipIf(missing !== undefined)("a spike", () => {
  let cluster: EmbeddedCluster;

  beforeAll(async () => {
    cluster = await EmbeddedCluster.start({
      ...{ shards: 1, routers: 1, spares: 0, portBase: 0, sharedBuffersMb: 64 },
      environment: (name) => (name.startsWith("router") ? { URNA_WAITING_VOTES_MAX: String(routerVotes) } : {}),
    });
  });
  afterAll(() => cluster?.stop());

  test("is refused with OVERLOADED, soon, with a time to come back; what is accepted is counted (I4, I9)", async () => {
    await using crowd = await crowdAt(cluster);
    const spike = ["spike", "--json", "--dir", cluster.paths.root, "--rated", "50", "--seconds", "4"];
    const { code, said, line } = await ghzCommand(...spike);
    await crowd.leave();
    if (line === undefined) expect.fail(said);
    const states = new Map(line.checks.map(({ title, state, says }) => [title, `${state}: ${says}`]));
    // Others vote here, too: what the routers answered is not all ours.
    expect([...states].filter(([, state]) => state.startsWith("idle")).map(([title]) => title)).toEqual([
      "the tally has what the routers gave receipts for",
    ]);
    expect(states.get("what was refused was refused with OVERLOADED")).toMatch(/^passed/);
    expect([code, line.passed, [...states.values()].filter((state) => state.startsWith("failed"))]).toEqual([
      0,
      true,
      [],
    ]);
    expect(line.statuses["ResourceExhausted"]).toBeGreaterThan(0);
    expect(crowd.accepted).toBeGreaterThan(0);
  });
});

/** Batches of one caller, one after the other, several at a time, in an election of their own. */
async function crowdAt(cluster: EmbeddedCluster) {
  const routers = cluster.endpoints.routers.map(({ grpc }) => grpc);
  const workload = new Workload("crowd");
  const client = createClient(ElectionService, routers[0] ?? "");
  const headers = { authorization: `Bearer ${cluster.adminToken()}` };
  await client.createElection({ definition: workload.definition }, { headers });
  await client.openElection({ electionId: "crowd" }, { headers });
  client.close();
  const sender = new BatchSender(workload, routers, crowdVotes);
  let [left, accepted] = [false, 0];
  const run = async () => {
    while (!left) {
      const outcome = await new Promise<{ acknowledged: number }>((resolve) => sender.send(resolve));
      accepted += outcome.acknowledged;
      if (outcome.acknowledged === 0) await delay(5);
    }
  };
  const runs = Array.from({ length: crowdBatches }, run);
  const leave = async () => {
    left = true;
    await Promise.all(runs);
    sender.close();
  };
  return {
    leave,
    get accepted() {
      return accepted;
    },
    [Symbol.asyncDispose]: leave,
  };
}
