import { spawn } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findConsul } from "#deploy/go-tool.ts";
import type { Participant } from "#deploy/mesh-story.ts";
import { finePasses, halves, MeshStory } from "#deploy/mesh-story.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { ConsulClient } from "#mesh/consul/consul-client.ts";
import type { SlotRange } from "#proto/slots.ts";

const missing = await toolSkipReason("Consul", findConsul);

describe.skipIf(missing !== undefined)("the mesh through Consul", () => {
  let story: MeshStory;
  let router: Participant;

  beforeAll(async () => {
    story = await MeshStory.begin();
    router = story.router;
  });
  afterAll(() => story?.end());

  const putMap = (text: string) => story.rig.as("shard").put("/kv/urna/map", text);

  test("shards publish the map that their claims make, and everybody finds the nodes", async () => {
    const shards = halves.map((slots, shardId) => ({ shardId, slots: [slots], nodes: [story.shard(shardId).address] }));
    const view = { deployment: "town", map: { epoch: 1, shards }, tally: story.tally.address };
    for (const { mesh } of [router, story.tally, ...story.shards]) {
      await story.until("the whole view", () => mesh.directory.current.tally === story.tally.address);
      expect(mesh.directory.current).toEqual(view);
      expect(mesh.directory.trouble).toBe("");
    }
    const entries = halves.map((slots, id) => ({ id, slots: [slots] }));
    const map = { schema_version: 1, deployment: "town", epoch: 1, shards: entries };
    expect(await story.storedMap()).toEqual(map);
    expect(await story.rig.as("viewer").get("/kv/urna/map-history/1?raw")).toMatchObject({ map });
  });

  test("a status line and a role are what operators see, and change with the next word", async () => {
    story.announceShard(1, { level: "critical", line: "shard 1: no standby" }, ["spare"]);
    const told = { id: "shard-1-a", tags: ["spare"], level: "critical", line: "shard 1: no standby" };
    await story.until("the line in the catalogue", async () => {
      const [, seen] = await story.statusesOf("urna-shard");
      return JSON.stringify({ ...seen, process: undefined }) === JSON.stringify(told);
    });
    // Whatever Consul thinks of its health: it is still where its votes go.
    await router.mesh.directory.refresh();
    expect(router.mesh.directory.current.map.shards[1]?.nodes).toEqual([story.shard(1).address]);
    expect(router.mesh.directory.hasEnded("shard-1-a/1")).toBe(false);
    story.announceShard(1);
    await story.until(
      "the role of before",
      async () => (await story.statusesOf("urna-shard"))[1]?.tags[0] === "writer",
    );
  });

  test("a process that the agent has forgotten is there again with its next word, and was never dropped", async () => {
    const before = router.mesh.directory.current;
    router.views.length = 0;
    await story.rig.as("shard").put("/agent/service/deregister/shard-0-a");
    await story.until("it to be gone", async () => (await story.statusesOf("urna-shard")).length === 1);
    story.announceShard(0, { level: "warning", line: "shard 0: slow" });
    await story.until("it to be back", async () => (await story.statusesOf("urna-shard"))[0]?.line === "shard 0: slow");
    await router.mesh.directory.refresh();
    for (const view of [...router.views, router.mesh.directory.current]) expect(view).toEqual(before);
  });

  const mapOf = (epoch: number, owners: [number, SlotRange][]) =>
    JSON.stringify({
      schema_version: 1,
      deployment: "town",
      epoch,
      shards: owners.map(([id, slots]) => ({ id, slots: [slots] })),
    });
  const [lower, upper]: SlotRange[] = [
    [0, 8_191],
    [8_192, 16_383],
  ] as const;
  const badMaps: [title: string, text: string, because: string][] = [
    [
      "with a hole",
      mapOf(2, [
        [0, [0, 8_190]],
        [1, upper],
      ]),
      "slot 8191 has no owner",
    ],
    [
      "with an overlap",
      mapOf(2, [
        [0, [0, 8_192]],
        [1, upper],
      ]),
      "slot 8192 has two owners",
    ],
    [
      "with a shard that nobody knows",
      mapOf(2, [
        [0, lower],
        [7, upper],
      ]),
      "names shard 7",
    ],
    [
      "of an older epoch",
      mapOf(0, [
        [0, lower],
        [1, upper],
      ]),
      "epoch 0 is older than 1",
    ],
    [
      "that changed under its epoch",
      mapOf(1, [
        [1, lower],
        [0, upper],
      ]),
      "still is epoch 1",
    ],
    ["that is no JSON", "{half", "is no JSON"],
    ["of half a megabyte of nonsense", `[${'"x",'.repeat(120_000)}"x"]`, "must be an object"],
  ];
  for (const [title, text, because] of badMaps) {
    test(`a map ${title} is refused with one line, and the last one stays`, async () => {
      const { directory } = router.mesh;
      const before = directory.current;
      const good = JSON.stringify(await story.storedMap());
      await putMap(text);
      // The shards' writers find out, too, and may have put the good one back before the router has looked.
      await story.until(`a complaint: ${because}`, async () => {
        if (router.complaints(because).length > 0) return true;
        await putMap(text);
        return false;
      });
      expect(directory.current).toEqual(before);
      await putMap(good);
      await story.until("the good map", () => directory.trouble === "");
      expect(router.complaints(because)[0]?.msg).toBe("the shard map in Consul is not taken over");
      expect(directory.current).toEqual(before);
    });
  }

  test("ten megabytes of it do not even fit into Consul", async () => {
    await expect(putMap("x".repeat(10_000_000))).rejects.toThrow(/413|exceeds/);
    expect(router.mesh.directory.current.map.epoch).toBe(1);
  });

  test("an answer that is longer than it may be is not read to its end", async () => {
    const { address, caFile } = story.rig.cluster;
    const client = new ConsulClient({
      address,
      caFile,
      tokenFile: story.rig.cluster.tokenFile("router"),
      cacheFile: "",
    });
    const { signal } = new AbortController();
    try {
      const limits = { limitMs: 10_000, signal };
      expect((await client.read("/kv/urna/map", {}, { ...limits, bytesMax: 1_000 })).body).toHaveLength(1);
      const tooMuch = client.read("/kv/urna/map", {}, { ...limits, bytesMax: 100 });
      await expect(tooMuch).rejects.toThrow("longer than 100 bytes");
    } finally {
      client.close();
    }
  });

  test("a map that was damaged or lost is soon written again by the shards", async () => {
    const good = await story.storedMap();
    for (const damage of [() => putMap("{half"), () => story.rig.as("shard").delete("/kv/urna/map")]) {
      await damage();
      await story.until("the map of before", async () => {
        const map = await story.storedMap().catch(() => undefined);
        return JSON.stringify(map) === JSON.stringify(good);
      });
    }
  });

  test("a service registered with nonsense is ignored with one line", async () => {
    const nonsense = { Name: "urna-shard", ID: "shard-x", Address: "127.0.0.1", Port: 1, Meta: { shard: "-1e9" } };
    const because = "shard-x: service: Meta.shard must be a number";
    await story.rig.as("shard").put("/agent/service/register", nonsense);
    await story.until("a line about it", () => router.complaints(because).length > 0);
    const before = router.mesh.directory.current;
    await router.mesh.directory.refresh();
    await router.mesh.directory.refresh();
    expect(router.complaints("shard-x")).toHaveLength(1);
    expect(router.mesh.directory.current).toEqual(before);
    await story.rig.as("shard").put("/agent/service/deregister/shard-x");
  });

  test("a map of a newer epoch is followed when all shards have claimed it, and never goes back", async () => {
    story.claim(0, 2, [upper]);
    await story.until("the claims to differ", () => story.shard(0).complaints("make no map: shard 1 is").length > 0);
    expect(router.mesh.directory.current.map.epoch).toBe(1);
    story.claim(1, 2, [lower]);
    await story.until("epoch 2", () => router.mesh.directory.current.map.epoch === 2);
    expect(router.mesh.directory.current.map.shards.map(({ slots }) => slots)).toEqual([[upper], [lower]]);
    story.claim(0, 1, [lower]);
    await story.until("the old claim to be refused", () => story.shard(0).complaints("its head is at 1").length > 0);
    expect((await story.storedMap())["epoch"]).toBe(2);
    story.claim(0, 2, [upper]);
  });

  test("a process that was killed is known to have ended; one that was never seen is not", async () => {
    const listen = "require('net').createServer().listen(0,'127.0.0.1',function(){console.log(this.address().port)})";
    const child = spawn(process.execPath, ["-e", listen], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const port = Number(await new Promise((resolve) => child.stdout.once("data", (data) => resolve(String(data)))));
      const announcementOf = (process: string) =>
        ({
          service: "urna-shard",
          id: "shard-0-b",
          host: "127.0.0.1",
          port,
          tags: [],
          meta: { shard: "0", process },
        }) as const;
      const { announcer } = (await story.open("shard", "shard-0-b")).mesh;
      announcer.announce(announcementOf("shard-0-b/1"), finePasses);
      const { directory } = router.mesh;
      const nodes = () => directory.current.map.shards[0]?.nodes ?? [];
      await story.until("the spare", () => nodes().includes(`127.0.0.1:${port}`));
      for (const name of ["shard-0-b/1", "shard-0-b/2", "shard-9-a/1"]) expect(directory.hasEnded(name)).toBe(false);
      child.kill("SIGKILL");
      await story.until("the end of the process to be known", () => directory.hasEnded("shard-0-b/1"));
      expect(nodes()).toContain(`127.0.0.1:${port}`);
      announcer.announce(announcementOf("shard-0-b/2"), finePasses);
      await story.until("its successor", async () =>
        (await story.statusesOf("urna-shard")).some((seen) => seen.process === "shard-0-b/2"),
      );
      expect(directory.hasEnded("shard-0-b/1")).toBe(true);
      await announcer.withdraw();
      await story.until("it to be gone", async () => (await story.statusesOf("urna-shard")).length === 2);
      expect(directory.hasEnded("shard-0-a/1")).toBe(false);
    } finally {
      child.kill("SIGKILL");
    }
  });

  test("an operator's denial closes a path, its removal opens it", async () => {
    const { intentions } = router.mesh;
    const operator = story.rig.as("operator");
    expect(intentions.allows("urna-router", "urna-shard")).toBe(true);
    const entry = { Kind: "service-intentions", Name: "urna-shard", Sources: [{ Name: "*", Action: "deny" }] };
    await operator.put("/config", entry);
    await story.until("the path to be closed", () => !intentions.allows("urna-router", "urna-shard"));
    expect(intentions.allows("urna-router", "urna-tally")).toBe(true);
    const everything = { ...entry, Name: "*", Sources: [{ Name: "urna-router", Action: "deny" }] };
    await operator.put("/config", everything);
    await story.until("all of its paths to be closed", () => !intentions.allows("urna-router", "urna-tally"));
    await operator.delete("/config/service-intentions/*");
    await story.until("one to be open", () => intentions.allows("urna-router", "urna-tally"));
    await operator.put("/config", { ...entry, Sources: [{ Name: "urna-tally", Action: "deny" }] });
    await story.until("it to be open", () => intentions.allows("urna-router", "urna-shard"));
    expect(intentions.allows("urna-tally", "urna-shard")).toBe(false);
  });

  test("Consul gone: the last map and intentions stand, also for who starts now", async () => {
    const before = router.mesh.directory.current;
    await story.rig.kill("consul-agent");
    await story.until("trouble", () => router.mesh.directory.trouble.includes("Consul does not answer since"));
    expect(router.mesh.directory.trouble).toContain("the map of epoch 2 stays in use");
    await router.mesh.directory.refresh();
    expect(router.mesh.directory.current).toEqual(before);
    const again = await story.open("router", "router");
    expect(again.mesh.directory.current).toEqual(before);
    expect(again.mesh.directory.trouble).toContain("Consul does not answer");
    expect(again.mesh.intentions.allows("urna-tally", "urna-shard")).toBe(false);
    const without = story.open("router", "router-without-cache", { firstViewLimitMs: 300 });
    await expect(without).rejects.toThrow(/no directory: Consul does not answer .*no cached one .*ECONNREFUSED/);
    await again.mesh.announcer.withdraw();
    await story.rig.process("consul-agent").start();
    await story.until("both to hear Consul again", () =>
      [router, again].every(({ mesh }) => mesh.directory.trouble === ""),
    );
    expect(router.complaints("Consul does not give")).toHaveLength(1);
    for (const name of ["shard-0-a/1", "shard-1-a/1"]) expect(router.mesh.directory.hasEnded(name)).toBe(false);
    await story.rig.as("operator").delete("/config/service-intentions/urna-shard");
    await story.until("all paths to be open", () => again.mesh.intentions.allows("urna-tally", "urna-shard"));
  });

  test("Consul wiped: everybody registers again, the map is written again, and no view is ever emptier", async () => {
    const before = router.mesh.directory.current;
    router.views.length = 0;
    await story.rig.cluster.wipe();
    await story.until("services and map", async () => {
      const map = await story.storedMap().catch(() => undefined);
      const services = ["urna-shard", "urna-tally", "urna-router"] as const;
      const seen = await Promise.all(services.map((service) => story.statusesOf(service)));
      return map?.["epoch"] === 2 && seen.map(({ length }) => length).join() === "2,1,1";
    });
    await story.until("no trouble", () => router.mesh.directory.trouble === "");
    for (const view of [...router.views, router.mesh.directory.current]) expect(view).toEqual(before);
    for (const name of ["shard-0-a/1", "shard-1-a/1"]) expect(router.mesh.directory.hasEnded(name)).toBe(false);
  });
});
