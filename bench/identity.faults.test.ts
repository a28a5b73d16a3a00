/** Certificates that live for a minute, under load for several of their lives: nobody notices but the log. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Story } from "#bench/cluster-story.ts";
import { findConsul } from "#deploy/go-tool.ts";
import { findRedis } from "#deploy/redis-binary.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { MeshService } from "#proto/generated/urna/v1/mesh_service_pb.js";

const missing = await toolSkipReason("certificates of a minute", findConsul, findRedis);
const electionId = "minutes";
const lifeMs = 60_000;
/** Renewed at half of their lives: so often at least in the time of the load. */
const renewalsMin = 4;
const loadMs = 2.5 * lifeMs;
const limitMs = 30_000;

test.skipIf(missing !== undefined)(
  "certificates of 60 s under load for 150 s: no call fails, no stream breaks, new connections are let in all the time",
  async () => {
    const mesh = { consulServers: 1, certificateLifeMs: lifeMs } as const;
    await using story = await Story.start({ shards: 2, routers: 2, spares: 1, mesh });
    await story.election(electionId);
    await using storm = story.storm(electionId, { workers: 4 });
    await storm.untilMore(200);
    const logOf = (name: string) => readFileSync(join(story.cluster.paths.logs, `${name}.log`), "utf8");
    const breaks = () =>
      story.routers.map((_, i) => logOf(`router-${i}`).split("the stream to the shard broke").length);
    const breaksBefore = breaks();
    const untilMs = performance.now() + loadMs;
    let connections = 0;
    while (performance.now() < untilMs) {
      for (const router of story.routers) {
        const fresh = createClient(MeshService, router, story.cluster.identity);
        await fresh.getMeshStatus({}, { deadlineMs: limitMs });
        fresh.close();
        connections += 1;
      }
      await storm.untilMore(20);
    }
    await storm.stop();
    const services = ["router-0", "router-1", "tally", "shard-0-a", "shard-0-b", "shard-1-a", "shard-1-b"];
    for (const name of services) {
      await waitFor(`${name} to have renewed ${renewalsMin} times`, limitMs, () =>
        logOf(name).split("the certificate was renewed").length > renewalsMin ? true : undefined,
      );
      expect(logOf(name)).not.toMatch(/a connection was refused|new certificates are refused|nears its end/);
    }
    expect(connections).toBeGreaterThan(100);
    expect(breaks()).toEqual(breaksBefore);
    expect([...storm.refused.keys()]).toEqual([]);
    // Not one sending of a vote was without its answer.
    expect(
      story.ledger.entries.filter(({ outcome }) => outcome.kind !== "recorded" && outcome.kind !== "repeat"),
    ).toEqual([]);
    await story.expectTally(electionId);
    expect(await story.check()).toEqual([]);
  },
  600_000,
);
