/** What becomes of Consul's servers and tokens, seen from the agent that everything on a machine talks to. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ConsulRig } from "./consul-rig.ts";
import { findConsul } from "./go-tool.ts";
import { toolSkipReason } from "./tool-requirement.ts";
import { waitFor } from "./wait-for.ts";

const missing = await toolSkipReason("Consul's faults", findConsul);
const healLimitMs = 60_000;

describe.skipIf(missing !== undefined)("three Consul servers", () => {
  let rig: ConsulRig;
  let written = 0;

  beforeAll(async () => {
    rig = await ConsulRig.start({ servers: 3 });
  });
  afterEach(() => rig?.cluster.start());
  afterAll(() => rig?.[Symbol.asyncDispose]());

  async function leader(): Promise<string> {
    const operator = rig.as("operator");
    const { Servers } = (await operator.get("/operator/raft/configuration")) as {
      Servers: { Node: string; Leader: boolean }[];
    };
    return Servers.find(({ Leader }) => Leader)?.Node ?? "";
  }

  /** Writes the next map, and reads it back: both through the agent, both consistent. */
  async function write(): Promise<void> {
    const shard = rig.as("shard");
    written++;
    expect(await shard.put("/kv/urna/map", { epoch: written })).toBe(true);
    expect(await rig.as("router").get("/kv/urna/map?raw&consistent")).toEqual({ epoch: written });
  }

  const untilWritten = () =>
    waitFor("a write", healLimitMs, () =>
      write().then(
        () => true,
        () => undefined,
      ),
    );

  test("the loss of any one of them, the leader too, does not stop writes", async () => {
    await write();
    const first = await leader();
    await rig.kill(first);
    await untilWritten();
    expect(await leader()).not.toBe(first);
    await rig.process(first).start();
    await waitFor(`${first} to follow`, healLimitMs, async () => {
      // Consul answers 429 while a server is not well.
      const ill = { Healthy: false };
      const health = await rig
        .as("operator")
        .get("/operator/autopilot/health")
        .catch(() => ill);
      return (health as typeof ill).Healthy ? true : undefined;
    });
    await rig.kill(await leader());
    await untilWritten();
  });

  test("a leader that is frozen is replaced, and follows when it goes on", async () => {
    await write();
    const first = await leader();
    rig.freeze(first);
    await untilWritten();
    expect(await leader()).not.toBe(first);
    rig.thaw(first);
    await untilWritten();
  });

  test("the loss of two acknowledges no write, and what was written before is there when they are back", async () => {
    await write();
    const before = written;
    const lost = ["consul-server-0", "consul-server-1"];
    for (const name of lost) await rig.kill(name);
    await expect(rig.as("shard").put("/kv/urna/map", { epoch: -1 })).rejects.toThrow(/with 500: |timeout/);
    for (const name of lost) await rig.process(name).start();
    await rig.cluster.untilReady();
    // The write that was not acknowledged may have stayed in the log of the one that was left: then it is made now.
    const { epoch } = (await rig.as("router").get("/kv/urna/map?raw&consistent")) as { epoch: number };
    expect([before, -1]).toContain(epoch);
    await untilWritten();
  });

  test("a token that is revoked in flight is refused within seconds, and comes back as it was", async () => {
    const management = rig.withToken(rig.cluster.secrets.managementToken);
    await write();
    const { AccessorID } = (await rig.as("router").get("/acl/token/self")) as { AccessorID: string };
    await management.delete(`/acl/token/${AccessorID}`);
    await waitFor("the refusal", 30_000, () =>
      rig
        .as("router")
        .get("/kv/urna/map?raw")
        .then(
          () => undefined,
          (error: Error) => (error.message.includes("with 403") ? true : undefined),
        ),
    );
    await rig.cluster.ensureAccess();
    await untilWritten();
  });

  test("the agent's own loss is the machine's: it is back with what was registered", async () => {
    const shard = rig.as("shard");
    await shard.put("/agent/service/register", { Name: "urna-shard", ID: "shard-0-a", Port: 50_100 });
    await rig.kill("consul-agent");
    await expect(shard.get("/agent/services")).rejects.toThrow(/ECONNREFUSED|ECONNRESET|socket hang up/);
    await rig.process("consul-agent").start();
    await rig.cluster.untilReady();
    expect(await rig.as("shard").get("/agent/services")).toHaveProperty("shard-0-a");
  });
});
