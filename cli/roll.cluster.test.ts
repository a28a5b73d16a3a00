/** A whole cluster is rolled under load, and no call of a stock gRPC client fails. */
import { readFileSync, rmSync, statSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Story } from "#bench/cluster-story.ts";
import { StockClient, StockLoad } from "#bench/stock-client.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { runCaptured } from "./captured-run.ts";
import { exitCode } from "./exit-code.ts";

const rollLimitMs = 150_000;

let folder: string;
let story: Story;
let client: StockClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "urna-roll-"));
  story = await Story.start({ dir: join(folder, ".urna"), shards: 2, routers: 2 });
  client = new StockClient(story.routers, story.ledger);
});

afterAll(async () => {
  client?.close();
  await story?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const pids = () => new Map(serviceNames().map((name) => [name, story.cluster.pid(name)]));
const serviceNames = () => story.cluster.processNames().filter((name) => !/(primary|standby)$/.test(name));

async function rollUnderLoad(electionId: string, ...args: string[]) {
  await story.healed();
  await story.election(electionId);
  await using load = new StockLoad(client, (n) => story.votes(electionId, n));
  const before = client.answeredCalls;
  await waitFor("calls to be answered", 30_000, () => (client.answeredCalls > before + 100 ? true : undefined));
  const run = await runCaptured(["roll", "--json", ...args], folder, { onLine: (line) => console.log(line, client.failures) });
  const after = client.answeredCalls;
  await waitFor("calls after the roll", 30_000, () => (client.answeredCalls > after + 100 ? true : undefined));
  await load.stop();
  return run;
}

test("urna roll restarts every process of a cluster under load: no call fails, nothing is lost or doubled (I1, I2, I4)", { timeout: rollLimitMs }, async () => {
  const before = pids();
  const run = await rollUnderLoad("rolled");
  expect(run.stderr).toBe("");
  expect(run.code).toBe(exitCode.done);
  const lines = run.stdout.split("\n").map((line) => JSON.parse(line));
  expect(lines.slice(0, -1).map(({ role }) => role)).toEqual([
    "spare",
    "spare",
    "writer",
    "writer",
    "tally",
    "router",
    "router",
  ]);
  expect(lines.at(-1)).toMatchObject({ rolled: 7 });
  for (const [name, pid] of pids()) expect(pid, name).not.toBe(before.get(name));
  expect(client.failures).toEqual([]);
  story.witness("the roll", true);
  await story.expectTally("rolled");
  expect(await story.check()).toEqual([]);
  console.log(
    `rolled in ${lines.at(-1).seconds} s; ${client.answeredCalls} calls, the slowest took ${Math.round(client.slowestMs)} ms`,
  );
});

test("the control socket is the user's own", () => {
  const { control_socket } = JSON.parse(readFileSync(story.cluster.paths.endpointsFile, "utf8"));
  expect(statSync(control_socket).mode & 0o777).toBe(0o600);
});
