/** A whole cluster is rolled to another release under load, and no call of a stock gRPC client fails. */
import { mkdirSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Story } from "#bench/cluster-story.ts";
import { EarlierRelease } from "#bench/earlier-release.ts";
import { PatchedCheckout } from "#bench/patched-checkout.ts";
import { StockClient, StockLoad } from "#bench/stock-client.ts";
import { checkoutRoot } from "#deploy/own-node.ts";
import { readRunState } from "#deploy/run-state.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { runCaptured } from "./captured-run.ts";
import { exitCode } from "./exit-code.ts";

const rollLimitMs = 150_000;

let folder: string;
let earlier: EarlierRelease;
let story: Story;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "urna-roll-"));
  earlier = await EarlierRelease.make();
  console.log(`rolled from: ${earlier.copiedBecause ?? `release ${earlier.version}`}`);
  story = await Story.start({ dir: join(folder, ".urna"), shards: 2, routers: 2, release: earlier.folder });
});

afterAll(async () => {
  await story?.[Symbol.asyncDispose]();
  earlier?.[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

const services = () => story.cluster.processNames().filter((name) => !/(primary|standby)$/.test(name));
/** Where each process runs from. */
const checkouts = () => new Set(services().map((name) => readlinkSync(`/proc/${story.cluster.pid(name)}/cwd`)));
const roll = (...args: string[]) => runCaptured(["roll", ...args], folder);

test("a checkout that cannot take over is refused before anything is restarted", async () => {
  const broken = join(folder, "broken");
  mkdirSync(broken);
  writeFileSync(join(broken, "package.json"), '{"name":"another"}');
  const reasons = [
    [join(folder, "none"), "there is no such folder"],
    [folder, "it has no package.json that can be read"],
    [broken, "its package.json is not Urna's"],
  ] as const;
  for (const [path, because] of reasons) {
    const run = await roll("--to", path);
    expect(run.code).toBe(exitCode.refused);
    expect(run.stderr).toBe(`urna: nothing was restarted: ${path} cannot take over this run: ${because}`);
  }
  expect(checkouts()).toEqual(new Set([earlier.folder]));
});

test("urna roll --to restarts every process from the next release under load: no call fails, nothing is lost or doubled (I1, I2, I4)", {
  timeout: rollLimitMs,
}, async () => {
  await story.election("rolled");
  const client = new StockClient(story.routers, story.ledger);
  const load = new StockLoad(client, (n) => story.votes("rolled", n));
  const more = async (calls: number) => {
    const target = client.answeredCalls + calls;
    await waitFor("calls to be answered", 60_000, () => (client.answeredCalls >= target ? true : undefined));
  };
  await more(100);
  const run = await roll("--to", checkoutRoot, "--json");
  await more(100);
  await load.stop();
  client.close();

  expect(run.code, run.stderr).toBe(exitCode.done);
  const lines = run.stdout.split("\n").map((line) => JSON.parse(line));
  const order = ["spare", "spare", "writer", "writer", "tally", "router", "router"];
  expect(lines.slice(0, -1).map(({ role }) => role)).toEqual(order);
  expect(new Set(lines.slice(0, -1).map(({ process }) => process))).toEqual(new Set(services()));
  expect(checkouts()).toEqual(new Set([checkoutRoot]));
  expect(client.failures).toEqual([]);
  story.witness("the roll", true);
  await story.expectTally("rolled");
  expect(await story.check()).toEqual([]);
  const { seconds } = lines.at(-1);
  const slowest = (client.slowestMs / 1_000).toFixed(1);
  console.log(`rolled in ${seconds} s: ${client.answeredCalls} calls, none failed, the slowest took ${slowest} s`);
});

test("a release that does not come up stops the roll, which says how to go back; nothing but one process was touched", async () => {
  using broken = await PatchedCheckout.make("broken");
  writeFileSync(join(broken.folder, "tally/main.ts"), "process.exit(1);\n");
  const before = new Map(services().map((name) => [name, story.cluster.pid(name)]));
  const run = await roll("--to", broken.folder, "--wait", "3", "tally", "router-0");
  expect(run.code).toBe(exitCode.refused);
  expect(run.stderr).toContain("tally was restarted, and not all is well");
  const back = /back with "urna (roll --force --to \S+)"/.exec(run.stderr)?.[1]?.split(" ") ?? [];
  expect(back.at(-1)).toBe(checkoutRoot);
  const again = await runCaptured([...back, "tally"], folder);
  expect(again.code, again.stderr).toBe(exitCode.done);
  const touched = services().filter((name) => story.cluster.pid(name) !== before.get(name));
  expect(touched).toEqual(["tally"]);
});

test("a roll that its user stops says what is left", async () => {
  const stop = new AbortController();
  const onLine = () => stop.abort();
  const run = await runCaptured(["roll", "tally", "router-0"], folder, { signal: stop.signal, onLine });
  expect(run.code).toBe(exitCode.interrupted);
  expect(run.stderr).toContain('go on with "urna roll --force router-0"');
});

test("a process that is not there is named; a launcher that has ended, too", async () => {
  expect(await roll("router-7")).toMatchObject({
    code: exitCode.usage,
    stderr: expect.stringContaining("there is no process router-7; there are shard-0-a"),
  });
  expect(readRunState(story.cluster.paths.stateFile)?.release).toBeUndefined();
  await story.cluster.stop();
  expect(await roll()).toMatchObject({ code: exitCode.unreachable, stderr: expect.stringContaining("no launcher") });
});
