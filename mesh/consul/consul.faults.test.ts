import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { connect, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findConsul } from "#deploy/go-tool.ts";
import type { Participant } from "#deploy/mesh-story.ts";
import { MeshStory } from "#deploy/mesh-story.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";

const missing = await toolSkipReason("Consul", findConsul);

/** A way to Consul that can be cut. */
class Relay {
  readonly address: string;
  readonly #sockets = new Set<Socket>();
  readonly #close: () => void;
  #cut = false;

  private constructor(address: string, listen: (accept: (socket: Socket) => void) => () => void, port: number) {
    this.address = address;
    this.#close = listen((socket) => this.#pass(socket, port));
  }

  static async open(consul: string): Promise<Relay> {
    let accept: (socket: Socket) => void = () => undefined;
    const server = createServer((socket) => accept(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const listen = (then: (socket: Socket) => void) => {
      accept = then;
      return () => server.close();
    };
    return new Relay(`https://127.0.0.1:${port}`, listen, Number(new URL(consul).port));
  }

  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#cut = false;
  }

  close(): void {
    this.cut();
    this.#close();
  }

  #pass(socket: Socket, port: number): void {
    if (this.#cut) {
      socket.destroy();
      return;
    }
    const onward = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      this.#sockets.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  }
}

describe.skipIf(missing !== undefined)("what becomes of the mesh when Consul", () => {
  let story: MeshStory;
  let router: Participant;

  beforeAll(async () => {
    story = await MeshStory.begin();
    router = story.router;
  });
  afterAll(() => story?.end());

  test("freezes: it is noticed, what was there stays, and a process leaves in time", async () => {
    const before = router.mesh.directory.current;
    const leaving = await story.open("router", "leaving");
    leaving.announce("urna-router", "leaving", { process: "leaving/1" });
    await story.until("it to be there", async () => (await story.statusesOf("urna-router")).length === 2);
    story.rig.freeze("consul-agent");
    await story.until("trouble", () => router.mesh.directory.trouble.includes("Consul does not answer since"));
    const startedAtMs = performance.now();
    await leaving.mesh.announcer.withdraw();
    expect(performance.now() - startedAtMs).toBeLessThan(5_000);
    leaving.close();
    expect(router.mesh.directory.current).toEqual(before);
    story.rig.thaw("consul-agent");
    await story.until("Consul to be heard again", () => router.mesh.directory.trouble === "");
    expect(router.mesh.directory.current).toEqual(before);
  });

  test("is restarted in its agent, which calls everybody critical until it has looked: nobody who lives is called ended", async () => {
    const { directory } = router.mesh;
    const operator = story.rig.as("operator");
    type Check = { readonly CheckID: string; readonly Status: string; readonly Output: string };
    const looked = async () => {
      const checks = (await operator.get("/health/checks/urna-shard").catch(() => [])) as Check[];
      const ports = checks.filter(({ CheckID }) => CheckID.startsWith("alive:"));
      return ports.length >= 2 && ports.every(({ Status, Output }) => Status === "passing" && Output !== "");
    };
    let said = 0;
    const listening = setInterval(() => {
      if (["shard-0-a/1", "shard-1-a/1"].some((process) => directory.hasEnded(process))) said += 1;
    }, 10);
    try {
      await story.until("Consul to have looked", looked);
      for (let restarts = 0; restarts < 3; restarts++) {
        await story.rig.process("consul-agent").stop();
        await story.rig.process("consul-agent").start();
        await story.until("Consul to have looked again", looked);
        await story.until("no trouble", () => directory.trouble === "");
      }
    } finally {
      clearInterval(listening);
    }
    expect(said).toBe(0);
  });

  test("is frozen in its server: the agent answers, and nobody is dropped", async () => {
    const before = router.mesh.directory.current;
    story.rig.freeze("consul-server-0");
    await story.until("trouble", () => router.mesh.directory.trouble !== "");
    expect(router.mesh.directory.current).toEqual(before);
    expect(router.mesh.directory.hasEnded("shard-0-a/1")).toBe(false);
    story.rig.thaw("consul-server-0");
    await story.until("Consul to be heard again", () => router.mesh.directory.trouble === "");
    expect(router.mesh.directory.current).toEqual(before);
  });

  test("revokes a token: that is said once; another in its file works at once", async () => {
    const { secrets, tokenFile } = {
      secrets: story.rig.cluster.secrets,
      tokenFile: story.rig.cluster.tokenFile("router"),
    };
    const management = story.rig.withToken(secrets.managementToken);
    const own = (await story.rig.as("router").get("/acl/token/self")) as { AccessorID: string; Policies: unknown };
    await management.delete(`/acl/token/${own.AccessorID}`);
    await story.until("trouble", () => router.mesh.directory.trouble.includes("Consul refuses this process's token"));
    expect(router.complaints("ACL not found")).toHaveLength(1);
    const other = (await management.put("/acl/token", { Policies: own.Policies })) as { SecretID: string };
    writeFileSync(tokenFile, `${other.SecretID}\n`);
    await story.until("the new token to be used", () => router.mesh.directory.trouble === "");
    writeFileSync(tokenFile, `${secrets.token("router")}\n`);
    await story.rig.cluster.ensureAccess();
  });

  test("is cut off from one process: that one goes on, the others still find it, operators see it", async () => {
    const relay = await Relay.open(story.rig.cluster.address);
    try {
      const alone = await story.open("shard", "alone", { address: relay.address });
      alone.announce("urna-shard", "shard-0-b", { shard: "0", process: "shard-0-b/1" });
      const nodes = () => router.mesh.directory.current.map.shards[0]?.nodes ?? [];
      await story.until("it to be found", () => nodes().includes(alone.address));
      await story.until("it to see itself", () => JSON.stringify(alone.mesh.directory.current).includes(alone.address));
      const before = alone.mesh.directory.current;
      relay.cut();
      await story.until("trouble", () => alone.mesh.directory.trouble.includes("does not answer"));
      await story.until("operators to see it", async () =>
        (await story.statusesOf("urna-shard")).some(({ id, level }) => id === "shard-0-b" && level === "critical"),
      );
      expect(alone.mesh.directory.current).toEqual(before);
      expect(nodes()).toContain(alone.address);
      expect(router.mesh.directory.hasEnded("shard-0-b/1")).toBe(false);
      relay.mend();
      await story.until("it to be well again", async () =>
        (await story.statusesOf("urna-shard")).some(({ id, level }) => id === "shard-0-b" && level === "passing"),
      );
      await story.until("no trouble", () => alone.mesh.directory.trouble === "");
    } finally {
      relay.close();
    }
  });
});
