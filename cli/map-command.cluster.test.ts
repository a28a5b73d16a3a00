import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { findConsul } from "#deploy/go-tool.ts";
import { findRedis } from "#deploy/redis-binary.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { ConsulApi } from "#mesh/consul/consul-api.ts";
import { runCaptured } from "./captured-run.ts";
import type { ConsulEndpoint } from "./endpoints.ts";
import { findEndpoints } from "./endpoints.ts";
import { exitCode } from "./exit-code.ts";

const missing = await toolSkipReason("Consul and Redis", findConsul, findRedis);
const limitMs = 30_000;

describe.skipIf(missing !== undefined)("urna map, of a run with Consul", () => {
  const folder = mkdtempSync(join(tmpdir(), "urna-cli-map-"));
  let cluster: EmbeddedCluster;
  let consul: ConsulEndpoint;
  let api: ConsulApi;

  beforeAll(async () => {
    const dir = join(folder, ".urna");
    // As few processes as show something.
    const shape = { shards: 2, routers: 1, spares: 0 } as const;
    cluster = await EmbeddedCluster.start({ dir, ...shape, portBase: 0, mesh: { consulServers: 1 } });
    const endpoint = findEndpoints(folder)?.consul;
    if (endpoint === undefined) throw new Error("the run names no Consul");
    consul = endpoint;
    api = new ConsulApi({ ...consul, token: readFileSync(consul.tokenFile, "utf8").trim() });
  });

  afterAll(async () => {
    api?.close();
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const map = (...args: string[]) => runCaptured(["map", ...args], folder);
  const untilRight = () =>
    waitFor("the map to be what everybody has", limitMs, async () =>
      (await map("check")).code === exitCode.done ? true : undefined,
    );

  test("show says who has which slots, as people and programs read it", async () => {
    await waitFor("all nodes", limitMs, async () =>
      (await map("show")).stdout.match(/ (writer|spare)$/gm)?.length === 2 ? true : undefined,
    );
    const { code, stdout } = await map("show");
    expect(code).toBe(exitCode.done);
    expect(stdout).toContain(`epoch 1 of urna, from Consul at ${consul.address}`);
    expect(stdout).toMatch(/^ *0 {2}0-8191 +127\.0\.0\.1:\d+ +writer$/m);
    expect(stdout).toMatch(/^ *1 {2}8192-16383 +127\.0\.0\.1:\d+ +writer$/m);
    const elsewhere = ["--consul", consul.address, "--consul-token-file", consul.tokenFile];
    const named = await map("show", "--json", ...elsewhere, "--consul-ca-file", consul.caFile);
    expect(JSON.parse(named.stdout)).toMatchObject({
      epoch: 1,
      shards: [
        { id: 0, slots: [[0, 8_191]] },
        { id: 1, slots: [[8_192, 16_383]] },
      ],
    });
  });

  test("check finds the map as the shards have it, and says what is not", async () => {
    await untilRight();
    expect((await map("check")).stdout).toContain("is what 2 shards have, and 1 router follows");
    const wrong = JSON.stringify(await api.get("/kv/urna/map?raw"))
      .replace("8191", "8190")
      .replace("8192", "8191");
    // The shards' writers soon put it right.
    const said = await waitFor("a difference", limitMs, async () => {
      await api.put("/kv/urna/map", wrong);
      const { code, stdout } = await map("check");
      return code === exitCode.refused ? stdout : undefined;
    });
    expect(said).toContain("shard 0 owns 0-8191, the map gives it 0-8190");
    expect(said).toContain("shard 1 owns 8192-16383, the map gives it 8191-16383");
    await untilRight();
  });

  test("history lists the epochs", async () => {
    const { code, stdout } = await map("history");
    expect(code).toBe(exitCode.done);
    expect(stdout).toMatch(/^ *1 {2}20\d\d-\S+Z {2}in use$/m);
    expect(JSON.parse((await map("history", "--json")).stdout)).toMatchObject({ epoch: 1, history: [{ epoch: 1 }] });
  });

  test("a wrong token, and a Consul that is not there, are said in one line", async () => {
    const place = ["--consul", consul.address, "--consul-ca-file", consul.caFile];
    const refused = await map("show", ...place, "--consul-token-file", consul.caFile);
    expect(refused).toMatchObject({ code: exitCode.usage, stdout: "" });
    expect(refused.stderr).toContain("holds no token");
    const nowhere = ["--consul", "https://127.0.0.1:1", "--consul-ca-file", consul.caFile];
    const gone = await map("check", ...nowhere, "--consul-token-file", consul.tokenFile);
    expect(gone).toMatchObject({ code: exitCode.unreachable, stdout: "" });
    expect(gone.stderr).toContain("does not answer");
    expect((await map("show", "--consul", consul.address)).stderr).toContain("--consul-token-file");
  });
});
