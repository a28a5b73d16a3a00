import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EmbeddedClusterOptions } from "./embedded-cluster.ts";
import { EmbeddedCluster } from "./embedded-cluster.ts";
import type { Endpoints } from "./endpoints.ts";
import { isServing } from "./health-probe.ts";
import { ownNode } from "./own-node.ts";
import { isAlive } from "./process-identity.ts";
import { readLock } from "./run-lock.ts";
import { waitFor } from "./wait-for.ts";

const small = { shards: 1, routers: 1, spares: 0, portBase: 0, sharedBuffersMb: 64 } as const;

function pidsOf(endpoints: Endpoints): number[] {
  const servers = endpoints.shards.flatMap(({ nodes, postgres }) => [...nodes, ...postgres]);
  return [...endpoints.routers, endpoints.tally, ...servers].map(({ pid }) => pid);
}

describe("a cluster that runs", () => {
  let cluster: EmbeddedCluster;
  const lines: string[] = [];

  beforeAll(async () => {
    cluster = await EmbeddedCluster.start({ ...small, log: (line) => lines.push(line) });
  });
  afterAll(() => cluster?.stop());

  test("endpoints.json says where everything listens, and its processes are alive", async () => {
    const endpoints = JSON.parse(readFileSync(cluster.paths.endpointsFile, "utf8")) as Endpoints;
    expect(endpoints).toEqual(cluster.endpoints);
    expect(pidsOf(endpoints).every(isAlive)).toBe(true);
    expect(await isServing(endpoints.routers[0]?.grpc ?? "")).toBe(true);
    expect(await isServing(endpoints.tally.grpc)).toBe(true);
  });

  test("secrets are readable for their owner alone", () => {
    const { adminTokenFile, routerKeyFile, ownerPasswordFile, secrets } = cluster.paths;
    for (const file of [adminTokenFile, routerKeyFile, ownerPasswordFile]) expect(statSync(file).mode & 0o077).toBe(0);
    expect(statSync(secrets).mode & 0o077).toBe(0);
    expect(readFileSync(routerKeyFile)).toHaveLength(32);
  });

  test.each(["router-0", "tally", "shard-0-a", "shard-0-primary", "shard-0-standby"])(
    "%s is started again when it is killed, and everything serves again (I1)",
    async (name) => {
      const before = cluster.pid(name);
      await cluster.kill(name);
      await cluster.untilRestarted(name, before);
      await cluster.untilSynchronous(0);
      await cluster.waitUntilServing();
      expect(lines.some((line) => line.startsWith(`${name} ended (SIGKILL)`))).toBe(true);
    },
  );

  test("its reaper is replaced when it is killed", async () => {
    const former = readLock(cluster.paths.lockFile)?.reaper?.pid ?? 0;
    process.kill(former, "SIGKILL");
    await waitFor("another reaper", 10_000, () => {
      const pid = readLock(cluster.paths.lockFile)?.reaper?.pid ?? former;
      return pid !== former && isAlive(pid) ? true : undefined;
    });
  });

  test("what was stopped on purpose stays stopped until it is started", async () => {
    await cluster.stopProcess("shard-0-standby");
    expect(cluster.pid("shard-0-standby")).toBe(0);
    await cluster.startProcess("shard-0-standby");
    await cluster.untilSynchronous(0);
  });
});

describe("a folder", () => {
  const dir = mkdtempSync(join(tmpdir(), "urna-test-"));
  const start = (options: EmbeddedClusterOptions = {}) => EmbeddedCluster.start({ ...small, dir, ...options });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  test("goes on with what is there: ports, run, secrets; a lost standby is copied anew", async () => {
    const first = await start();
    expect(first.isNew).toBe(true);
    const [before, token] = [first.endpoints, first.adminToken()];
    await expect(start()).rejects.toThrow(/a run is active/);
    await first.stop();
    expect(pidsOf(before).some(isAlive)).toBe(false);
    rmSync(join(dir, "postgres/shard-0-standby"), { recursive: true });

    const second = await start();
    expect(second.isNew).toBe(false);
    expect(second.endpoints.run_id).toBe(before.run_id);
    expect(second.endpoints.routers[0]?.grpc).toBe(before.routers[0]?.grpc);
    expect(second.adminToken()).toBe(token);
    await second.stop();
  });

  test("whose primary has thrown away the standby's WAL gets a new standby", async () => {
    const lines: string[] = [];
    const first = await start();
    await first.stopProcess("shard-0-standby");
    const client = new pg.Client(first.ownerUrl(0));
    await client.connect();
    await client.query("SELECT pg_drop_replication_slot('shard_0_standby')");
    await client.end();
    await first.stop();
    const second = await start({ log: (line) => lines.push(line) });
    await second.untilSynchronous(0);
    await second.stop();
    expect(lines.some((line) => line.includes("copying it anew"))).toBe(true);
  });

  test("with another number of shards is refused", async () => {
    await expect(start({ shards: 2 })).rejects.toThrow(/holds a run with 1 shards, not 2/);
  });

  test("whose primary is gone is refused, and the standby is left alone", async () => {
    rmSync(join(dir, "postgres/shard-0-primary"), { recursive: true });
    await expect(start()).rejects.toThrow(/shard-0-primary is missing, and it held votes/);
    expect(existsSync(join(dir, "postgres/shard-0-standby/PG_VERSION"))).toBe(true);
  });
});

describe("a launcher that is killed", () => {
  test("leaves nothing running, not even what is frozen, and its temporary folder goes", async () => {
    const launcher = await launch();
    const pids = pidsOf(launcher.endpoints);
    process.kill(launcher.endpoints.routers[0]?.pid ?? 0, "SIGSTOP");
    await launcher.kill();
    await waitFor("everything to end", 40_000, () => !pids.some(isAlive) || undefined);
    await waitFor("the folder to go", 5_000, () => !existsSync(launcher.root) || undefined);
  });

  test("a start in the same folder waits for the reaper, and goes on", async () => {
    const dir = mkdtempSync(join(tmpdir(), "urna-test-"));
    const launcher = await launch(dir);
    await launcher.kill();
    const cluster = await EmbeddedCluster.start({ ...small, dir });
    expect(pidsOf(launcher.endpoints).some(isAlive)).toBe(false);
    expect(cluster.endpoints.run_id).toBe(launcher.endpoints.run_id);
    await cluster.stop();
    rmSync(dir, { recursive: true, force: true });
  });
});

async function launch(dir?: string) {
  const script = join(import.meta.dirname, "launch-and-wait.ts");
  const child = spawn(ownNode, dir === undefined ? [script] : [script, dir], { stdio: ["ignore", "pipe", "inherit"] });
  const text = await new Promise<string>((resolve, reject) => {
    child.stdout.once("data", (chunk: Buffer) => resolve(chunk.toString()));
    child.once("exit", (code) => reject(new Error(`the launcher ended with ${code}`)));
  });
  const { root, endpoints } = JSON.parse(text) as { root: string; endpoints: Endpoints };
  const ended = once(child, "exit");
  const kill = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  return { root, endpoints, kill };
}
