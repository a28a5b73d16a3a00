/** The real ghz against a real cluster, by reflection: what it was told was accepted is counted, once. */
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { findGhz } from "#deploy/go-tool.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { ghzCommand, storedRows } from "./ghz-rig.ts";

const missing = await toolSkipReason("ghz", findGhz);

describe.skipIf(missing !== undefined)("npm run ghz", () => {
  let cluster: EmbeddedCluster;
  let dir: string;

  beforeAll(async () => {
    cluster = await EmbeddedCluster.start({ shards: 2, routers: 1, spares: 0, portBase: 0, sharedBuffersMb: 64 });
    dir = cluster.paths.root;
  });
  afterAll(() => cluster?.stop());

  test.each([
    ["unary", ["--seconds", "1", "--concurrency", "8"]],
    ["batch", ["--seconds", "1", "--votes", "100"]],
    ["stream", ["--seconds", "1", "--votes", "100"]],
    ["unary", ["--seconds", "1", "--rps", "40"]],
  ])("%s %j makes voters that nobody has heard of, and all are counted (I2, I5)", async (kind, options) => {
    const rowsBefore = await storedRows(cluster);
    const { code, said, line } = await ghzCommand(kind, "--json", "--dir", dir, ...options);
    if (line === undefined) expect.fail(said);
    expect(line.checks.filter(({ state }) => state !== "passed")).toEqual([]);
    expect([code, line.passed, Object.keys(line.statuses)]).toEqual([0, true, ["OK"]]);
    expect(line.calls).toBeGreaterThan(0);
    expect(line.votes_tallied).toBe(line.calls * line.votes_per_call);
    expect((await storedRows(cluster)) - rowsBefore).toBe(line.votes_tallied);
    const report = JSON.parse(await readFile(line.report_json, "utf8")) as { count: number };
    expect(report.count).toBe(line.calls);
    expect(await readFile(line.report_html ?? "", "utf8")).toContain("<title>ghz");
  });

  test("what cannot be done is said in one sentence", async () => {
    const nowhere = await ghzCommand("unary", "--dir", `${dir}/none`);
    expect(nowhere).toMatchObject({ code: 1, line: undefined });
    expect(nowhere.said).toContain("no cluster runs in");
    expect(nowhere.said).toContain("npm start");
    const router = await ghzCommand("unary", "--dir", dir, "--router", "9");
    expect(router.said).toContain("--router 9: the cluster has 1");
    for (const { said } of [nowhere, router]) expect(said.trim().split("\n")).toHaveLength(1);
  });
});
