/** A mesh is rolled twice under load: by mutual TLS, while every process leaves the registry and comes back. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Story } from "#bench/cluster-story.ts";
import { StockClient, StockLoad } from "#bench/stock-client.ts";
import { findConsul } from "#deploy/go-tool.ts";
import { findRedis } from "#deploy/redis-binary.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { runCaptured } from "./captured-run.ts";
import { exitCode } from "./exit-code.ts";

const missing = await toolSkipReason("the roll of a mesh", findConsul, findRedis);

describe.skipIf(missing !== undefined)("a mesh", () => {
  const folder = mkdtempSync(join(tmpdir(), "urna-roll-"));
  let story: Story;

  beforeAll(async () => {
    story = await Story.start({
      dir: join(folder, ".urna"),
      shards: 2,
      routers: 2,
      spares: 2,
      mesh: { consulServers: 1 },
    });
  });

  afterAll(async () => {
    await story?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  test("is rolled twice under load: no call fails, nothing is lost or doubled (I1, I2, I4)", async () => {
    await story.election("rolled");
    const client = new StockClient(story.routers, story.ledger, story.cluster.identity?.channelCredentials(["router"]));
    const load = new StockLoad(client, (n) => story.votes("rolled", n));
    for (const turn of [1, 2]) {
      const run = await runCaptured(["roll", "--json", "--wait", "120"], folder);
      expect(run.code, run.stderr).toBe(exitCode.done);
      const { rolled, seconds } = JSON.parse(run.stdout.split("\n").at(-1) ?? "");
      expect(rolled).toBe(9);
      console.log(`roll ${turn}: ${seconds} s`);
    }
    await load.stop();
    client.close();
    expect(client.failures).toEqual([]);
    story.witness("two rolls", true);
    await story.expectTally("rolled");
    expect(await story.check()).toEqual([]);
    console.log(`${client.answeredCalls} calls, none failed, the slowest took ${Math.round(client.slowestMs)} ms`);
  });
});
