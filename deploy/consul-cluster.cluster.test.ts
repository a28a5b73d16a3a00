import { readdirSync, readFileSync, statSync } from "node:fs";
import type { ClientRequest, IncomingMessage } from "node:http";
import { get } from "node:http";
import { get as getEncrypted } from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ConsulApi } from "#mesh/consul/consul-api.ts";
import { consulHolders } from "./consul-policies.ts";
import { ConsulRig } from "./consul-rig.ts";
import { findConsul } from "./go-tool.ts";
import { commandLine } from "./process-identity.ts";
import { toolSkipReason } from "./tool-requirement.ts";
import { waitFor } from "./wait-for.ts";

const missing = await toolSkipReason("Consul", findConsul);

const denied = /answered .* with 403/;
const registration = (service: string) => ({
  Name: service,
  ID: `${service}-test`,
  Address: "127.0.0.1",
  Port: 50_051,
});
const intention = (action: string) => ({
  Kind: "service-intentions",
  Name: "urna-shard",
  Sources: [{ Name: "urna-router", Action: action }],
});
const keyValue = (api: ConsulApi, key: string) => api.get(`/kv/${key}?raw`);

/** What a call answers that hands its response to `use`. */
async function read(call: (use: (response: IncomingMessage) => void) => ClientRequest) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => call(resolve).once("error", reject));
  return { status: response.statusCode, said: await text(response) };
}

describe.skipIf(missing !== undefined)("Consul", () => {
  let rig: ConsulRig;

  beforeAll(async () => {
    rig = await ConsulRig.start();
    await rig.as("shard").put("/kv/urna/map", { epoch: 1 });
    await rig.as("shard").put("/agent/service/register", registration("urna-shard"));
    await untilShardIsKnown();
  });
  afterAll(() => rig?.[Symbol.asyncDispose]());

  async function addressesSeenBy(api: ConsulApi): Promise<number[]> {
    const entries = await api.get("/health/service/urna-shard");
    return (entries as { Service: { Port: number } }[]).map(({ Service }) => Service.Port);
  }

  const untilShardIsKnown = () =>
    waitFor("the catalogue to know the shard", 30_000, async () =>
      (await addressesSeenBy(rig.as("shard"))).length > 0 ? true : undefined,
    );

  test("its secrets are in files that their owner alone can read, and on no command line", () => {
    const { secrets, supervisors } = rig.cluster;
    const folder = join(secrets.managementTokenFile, "..");
    for (const name of readdirSync(folder))
      expect([name, statSync(join(folder, name)).mode & 0o077]).toEqual([name, 0]);
    for (const holder of consulHolders) {
      expect(readFileSync(rig.cluster.tokenFile(holder), "utf8").trim()).toBe(secrets.token(holder));
    }
    const lines = supervisors.map(({ running }) => commandLine(running?.pid ?? 0)).join("\n");
    expect(lines).toContain("agent -config-file");
    expect(lines).not.toMatch(/-dev|[0-9a-f]{8}-[0-9a-f]{4}/);
  });

  test("whoever shows no token is told nothing and may do nothing", async () => {
    const nobody = rig.as(undefined);
    expect(await nobody.get("/catalog/services")).toEqual({});
    expect(await nobody.get("/catalog/nodes")).toEqual([]);
    expect(await addressesSeenBy(nobody)).toEqual([]);
    await expect(keyValue(nobody, "urna/map")).rejects.toThrow(denied);
    await expect(nobody.put("/kv/urna/map", "{}")).rejects.toThrow(denied);
    await expect(nobody.put("/agent/service/register", registration("urna-router"))).rejects.toThrow(denied);
    await expect(nobody.get("/agent/self")).rejects.toThrow(denied);
    await expect(nobody.get("/acl/tokens")).rejects.toThrow(denied);
  });

  test("a wrong token is refused by name", async () => {
    const stranger = rig.withToken("00000000-1111-2222-3333-444444444444");
    await expect(addressesSeenBy(stranger)).rejects.toThrow(/with 403: .*ACL not found/);
    await expect(keyValue(stranger, "urna/map")).rejects.toThrow(/with 403: .*ACL not found/);
  });

  test("plain HTTP is refused", async () => {
    const address = rig.cluster.address.replace("https:", "http:");
    const headers = { "X-Consul-Token": rig.cluster.secrets.managementToken };
    const { status, said } = await read((use) => get(`${address}/v1/catalog/nodes`, { headers, agent: false }, use));
    expect(status).toBe(400);
    expect(said).toContain("HTTP request to an HTTPS server");
  });

  test("whoever does not know its authority does not talk to it", async () => {
    await expect(fetch(`${rig.cluster.address}/v1/status/leader`)).rejects.toMatchObject({
      cause: { code: expect.stringMatching(/SELF_SIGNED|UNABLE_TO_VERIFY/) },
    });
  });

  test("a router reads the shard map and registers itself; it writes no map and is no shard", async () => {
    const router = rig.as("router");
    expect(await keyValue(router, "urna/map")).toEqual({ epoch: 1 });
    expect(await addressesSeenBy(router)).toEqual([50_051]);
    await router.put("/agent/service/register", registration("urna-router"));
    await router.put("/agent/service/deregister/urna-router-test");
    await expect(router.put("/kv/urna/map", "{}")).rejects.toThrow(denied);
    await expect(router.put("/kv/urna/map/history", "{}")).rejects.toThrow(denied);
    await expect(router.delete("/kv/urna/map")).rejects.toThrow(denied);
    await expect(keyValue(router, "urna/claims")).rejects.toThrow(denied);
    await expect(router.put("/agent/service/register", registration("urna-shard"))).rejects.toThrow(denied);
    await expect(router.put("/agent/service/deregister/urna-shard-test")).rejects.toThrow(denied);
  });

  test("a leaked tally token only reads addresses, and which shards there are", async () => {
    const tally = rig.as("tally");
    expect(await addressesSeenBy(tally)).toEqual([50_051]);
    await tally.put("/agent/service/register", registration("urna-tally"));
    expect(await keyValue(tally, "urna/map")).toEqual({ epoch: 1 });
    await expect(keyValue(tally, "urna/claims/0")).rejects.toThrow(denied);
    await expect(tally.put("/kv/urna/map", "{}")).rejects.toThrow(denied);
    await expect(tally.delete("/kv/urna/map")).rejects.toThrow(denied);
    await expect(tally.put("/kv/other", "{}")).rejects.toThrow(denied);
    await expect(tally.put("/config", intention("allow"))).rejects.toThrow(denied);
    for (const service of ["urna-router", "urna-shard", "urna-postgres", "other"]) {
      await expect(tally.put("/agent/service/register", registration(service))).rejects.toThrow(denied);
    }
    const node = { Node: "stranger", Address: "127.0.0.1" };
    await expect(tally.put("/catalog/register", node)).rejects.toThrow(denied);
    await expect(tally.put("/agent/service/deregister/urna-shard-test")).rejects.toThrow(denied);
    await expect(tally.put("/agent/leave")).rejects.toThrow(denied);
    await expect(tally.put("/session/create", {})).rejects.toThrow(denied);
    await expect(tally.get("/acl/tokens")).rejects.toThrow(denied);
    await expect(tally.get("/operator/raft/configuration")).rejects.toThrow(denied);
  });

  test("a shard node writes what is Urna's, and registers itself alone", async () => {
    const shard = rig.as("shard");
    await shard.put("/kv/urna/claims/0", { epoch: 2 });
    expect(await keyValue(shard, "urna/claims/0")).toEqual({ epoch: 2 });
    await expect(shard.put("/kv/other/map", "{}")).rejects.toThrow(denied);
    await expect(shard.put("/agent/service/register", registration("urna-router"))).rejects.toThrow(denied);
    await expect(shard.put("/config", intention("allow"))).rejects.toThrow(denied);
  });

  test("whoever registers Postgres servers does nothing else", async () => {
    const postgres = rig.as("postgres");
    await postgres.put("/agent/service/register", registration("urna-postgres"));
    await expect(postgres.put("/agent/service/register", registration("urna-shard"))).rejects.toThrow(denied);
    await expect(keyValue(postgres, "urna/map")).rejects.toThrow(denied);
    expect(await addressesSeenBy(postgres)).toEqual([]);
  });

  test("an operator cuts a path off, the services see it, and a viewer only looks", async () => {
    const path = "/config/service-intentions/urna-shard";
    const [operator, viewer] = [rig.as("operator"), rig.as("viewer")];
    await expect(viewer.put("/config", intention("deny"))).rejects.toThrow(denied);
    await operator.put("/config", intention("deny"));
    for (const holder of ["router", "shard", "viewer"] as const) {
      expect(await rig.as(holder).get(path)).toMatchObject({ Sources: [{ Name: "urna-router", Action: "deny" }] });
    }
    await expect(viewer.delete(path)).rejects.toThrow(denied);
    await expect(rig.as("shard").delete(path)).rejects.toThrow(denied);
    await operator.delete(path);
    await expect(rig.as("shard").get(path)).rejects.toThrow(/with 404/);
    await operator.put("/kv/urna/note", "1");
    await expect(viewer.put("/kv/urna/note", "2")).rejects.toThrow(denied);
    expect(await keyValue(viewer, "urna/note")).toBe(1);
    await expect(operator.get("/acl/tokens")).rejects.toThrow(denied);
  });

  test("a check's line that changes while its colour stays is in the catalogue within seconds", async () => {
    const shard = rig.as("shard");
    const line = async () => {
      const checks = (await shard.get("/health/checks/urna-shard")) as { CheckID: string; Output: string }[];
      return checks.find(({ CheckID }) => CheckID === "status")?.Output;
    };
    await shard.put("/agent/check/register", {
      ID: "status",
      Name: "status",
      ServiceID: "urna-shard-test",
      TTL: "60s",
      Status: "passing",
    });
    for (const said of ["batch 1", "batch 2"]) {
      await shard.put("/agent/check/update/status", { Status: "passing", Output: said });
      await waitFor(`"${said}" in the catalogue`, 30_000, async () => ((await line()) === said ? true : undefined));
    }
  });

  test("the user interface is there", async () => {
    const { said } = await read((use) =>
      getEncrypted(`${rig.cluster.uiUrl}/`, { ca: readFileSync(rig.cluster.caFile), agent: false }, use),
    );
    expect(said).toContain("<title>Consul");
  });

  test("a second start goes on with its data and its tokens", async () => {
    await rig.cluster.stop();
    await rig.cluster.start();
    expect(await keyValue(rig.as("router"), "urna/map")).toEqual({ epoch: 1 });
    // A server that starts alone takes the agent for gone, until the agent says again what is registered with it.
    await untilShardIsKnown();
    expect(await addressesSeenBy(rig.as("tally"))).toEqual([50_051]);
  });

  test("a Consul that has lost everything comes back with the tokens that everybody has", async () => {
    const before = consulHolders.map((holder) => rig.cluster.secrets.token(holder));
    await rig.cluster.wipe();
    expect(consulHolders.map((holder) => rig.cluster.secrets.token(holder))).toEqual(before);
    await expect(keyValue(rig.as("router"), "urna/map")).rejects.toThrow(/with 404/);
    expect(await addressesSeenBy(rig.as("tally"))).toEqual([]);
    await rig.as("shard").put("/kv/urna/map", { epoch: 2 });
    await expect(rig.as("router").put("/kv/urna/map", "{}")).rejects.toThrow(denied);
  });
});
