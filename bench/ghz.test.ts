/** How ghz is told, and what is made of what it says; without ghz. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { countChecks, sentBy } from "./ghz-account.ts";
import type { GhzPlan } from "./ghz-arguments.ts";
import { ghzArguments } from "./ghz-arguments.ts";
import { GhzUsageError, readOptions } from "./ghz-options.ts";
import type { GhzReport } from "./ghz-report.ts";
import { fatesOf, latenciesOf, parseGhzReport } from "./ghz-report.ts";
import { refusalChecks } from "./ghz-spike.ts";
import type { GhzCall } from "./ghz-votes.ts";
import { voteData } from "./ghz-votes.ts";
import { memoryCheck, trendsOf } from "./memory-watch.ts";
import { outcomesBetween, refusalsBetween, seriesOf } from "./router-counters.ts";

const plan: GhzPlan = {
  name: "urna unary",
  call: "CastVote",
  votesPerCall: 1,
  load: { kind: "closed", concurrency: 50 },
  seconds: 10,
  connections: 2,
};
const files = { data: "/run/data.json", report: "/run/report.json" };
const plaintext = { router: "127.0.0.1:7001", tls: undefined };

function argument(args: readonly string[], name: string): string | undefined {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args[at + 1];
}

describe("the command line of ghz", () => {
  test("of a closed loop has its concurrency, and waits for calls that are under way at the end", () => {
    const args = ghzArguments(plan, plaintext, files);
    expect(args).toContain("--insecure");
    expect(args).not.toContain("--async");
    expect(args.at(-1)).toBe(plaintext.router);
    expect(argument(args, "--call")).toBe("urna.v1.VoteService/CastVote");
    expect(argument(args, "--concurrency")).toBe("50");
    expect(argument(args, "--duration-stop")).toBe("wait");
  });

  test("of a fixed rate begins calls whatever is under way", () => {
    const args = ghzArguments({ ...plan, load: { kind: "open", callsPerSecond: 900 } }, plaintext, files);
    expect(args).toContain("--async");
    expect(argument(args, "--rps")).toBe("900");
  });

  test("names the certificate where the cluster has one", () => {
    const tls = { ca_file: "/ca.pem", cert_file: "/cert.pem", key_file: "/key.pem" };
    const args = ghzArguments(plan, { ...plaintext, tls }, files);
    expect(args).not.toContain("--insecure");
    expect([argument(args, "--cacert"), argument(args, "--cert"), argument(args, "--key")]).toEqual(Object.values(tls));
  });
});

describe("the data of ghz", () => {
  const template = { electionId: "e", voterPrefix: "load", keyPrefix: "0123456789abcdef" };

  /** As ghz fills it in: `{{…}}` with the number of the call. */
  function filledIn(call: GhzCall, votesPerCall: number, callNumber: number): string {
    return voteData(call, votesPerCall, template)
      .replaceAll("{{.RequestNumber}}", String(callNumber))
      .replaceAll("{{printf `%016d` .RequestNumber}}", String(callNumber).padStart(16, "0"))
      .replaceAll(/\{\{index [^}]*\}\}/g, "county-0/precinct-0");
  }

  test.each([
    ["CastVote", 1],
    ["CastVoteBatch", 40],
    ["CastVotes", 40],
  ] as const)("of %s makes voters and keys that no other call makes", (call, votesPerCall) => {
    const texts = [0, 1, 10, 1_234_567].map((callNumber) => filledIn(call, votesPerCall, callNumber));
    const found = (pattern: RegExp) => texts.flatMap((text) => [...text.matchAll(pattern)].map(([, value]) => value));
    const [voters, keys] = [found(/"voterId":"([^"]+)"/g), found(/"idempotencyKey":"([^"]+)"/g)];
    for (const values of [voters, keys]) {
      expect(values).toHaveLength(4 * votesPerCall);
      expect(new Set(values).size).toBe(values.length);
    }
    for (const key of keys) expect(Buffer.from(key ?? "", "base64").toString("base64")).toBe(key);
    for (const text of texts) expect(() => JSON.parse(text)).not.toThrow();
  });

  test("of a stream is JSON before it is filled in, as ghz wants of what begins with a bracket", () => {
    const messages = JSON.parse(voteData("CastVotes", 3, template)) as { sequence: string }[];
    expect(messages.map(({ sequence }) => sequence)).toEqual(["1", "2", "3"]);
  });
});

describe("what was asked for", () => {
  test("has defaults for each kind", () => {
    expect(readOptions(["batch"])).toMatchObject({ call: "CastVoteBatch", votesPerCall: 500, dir: ".urna", router: 0 });
    expect(readOptions(["soak", "--minutes", "2"])).toMatchObject({ seconds: 120, rated: undefined });
    expect(readOptions(["spike"])).toMatchObject({ call: "CastVote", votesPerCall: 1 });
    expect(readOptions(["spike", "--votes", "9"])).toMatchObject({ call: "CastVoteBatch", votesPerCall: 9 });
    expect(readOptions(["unary", "--rps", "7"])).toMatchObject({ load: { kind: "open", callsPerSecond: 7 } });
    expect(readOptions(["--help"])).toBeUndefined();
  });

  test.each([
    [[], /which kind/],
    [["nonsense"], /no kind "nonsense"/],
    [["unary", "batch"], /one kind/],
    [["unary", "--rps", "-1"], /rps/],
    [["unary", "--rps", "1.5"], /whole number/],
    [["batch", "--votes", "1001"], /from 1 to 1000/],
    [["unary", "--votes", "3"], /for batch, stream/],
    [["unary", "--connections", "9", "--concurrency", "3"], /may not exceed/],
    [["unary", "--bogus"], /bogus/],
  ])("%j is refused with a sentence", (args, sentence) => {
    expect(() => readOptions(args)).toThrow(GhzUsageError);
    expect(() => readOptions(args)).toThrow(sentence);
  });
});

describe("a report of ghz", async () => {
  const report = parseGhzReport(await readFile(join(import.meta.dirname, "data/ghz-report.json"), "utf8"));

  test("gives calls by status, and latencies by status", () => {
    expect(report).toMatchObject({ calls: 12, callsKept: 12 });
    expect([...report.statuses].sort()).toEqual([
      ["AlreadyExists", 3],
      ["OK", 9],
    ]);
    expect(report.latencies.get("OK")).toMatchObject({ calls: 9, p50Ms: 20.271502, maxMs: 43.000521 });
    expect(report.callsPerSecond).toBeCloseTo(115.06, 2);
    expect(fatesOf(report)).toEqual({ accepted: 9, refused: 3, unknown: 0 });
  });

  test("is not made of anything else", () => {
    expect(() => parseGhzReport('{"count":"12"}')).toThrow("no report");
    expect(() => parseGhzReport("")).toThrow();
  });

  test("a percentile is a latency that was measured", () => {
    expect(latenciesOf([5, 1, 4, 2, 3])).toMatchObject({ p50Ms: 3, p99Ms: 5, maxMs: 5 });
  });
});

describe("the account of a run", () => {
  const counted = { tallied: 10, rows: 10, recountMatches: true };
  const report = (statuses: Record<string, number>) => ({ statuses: new Map(Object.entries(statuses)) });
  const states = (...args: Parameters<typeof countChecks>) => countChecks(...args).map(({ state }) => state);

  test("of single votes is exact, but for calls of unknown outcome", () => {
    const sent = sentBy(plan, report({ OK: 8, ResourceExhausted: 4, DeadlineExceeded: 2 }));
    expect(sent).toEqual({ sent: 14, acceptedMin: 8, acceptedMax: 10 });
  });

  test("of batches and streams is a bound: an OK call may hold refusals", () => {
    const statuses = report({ OK: 2, ResourceExhausted: 1 });
    const batch = { call: "CastVoteBatch", votesPerCall: 5 } as const;
    expect(sentBy(batch, statuses)).toEqual({ sent: 15, acceptedMin: 0, acceptedMax: 10 });
    expect(sentBy({ ...batch, call: "CastVotes" }, statuses).acceptedMax).toBe(15);
  });

  test("passes when tally, receipts and rows are the same number", () => {
    const votes = { sent: 12, acceptedMin: 10, acceptedMax: 10 };
    const outcomes = new Map([
      ["recorded", 10],
      ["OVERLOADED", 2],
    ]);
    expect(states(votes, outcomes, counted)).toEqual(["passed", "passed", "passed"]);
  });

  test("fails when a vote is lost, invented, or not among the rows", () => {
    const votes = { sent: 11, acceptedMin: 11, acceptedMax: 11 };
    expect(states(votes, new Map([["recorded", 11]]), counted)).toEqual(["failed", "failed", "passed"]);
    const fewer = { sent: 9, acceptedMin: 9, acceptedMax: 9 };
    expect(states(fewer, new Map([["recorded", 9]]), counted)[0]).toBe("failed");
    expect(states(fewer, undefined, { ...counted, rows: 9 })[2]).toBe("failed");
  });

  test("does not believe routers that others vote at", () => {
    const votes = { sent: 10, acceptedMin: 10, acceptedMax: 10 };
    expect(states(votes, new Map([["recorded", 99]]), counted)[1]).toBe("idle");
    expect(states(votes, undefined, counted)[1]).toBe("idle");
  });
});

describe("the counters of routers", () => {
  const at = (recorded: number, started = 5) =>
    seriesOf(
      `# HELP x\nurna_router_votes_total{outcome="recorded"} ${recorded}\nprocess_start_time_seconds ${started}\n`,
    );

  test("add up over all routers", () => {
    expect(outcomesBetween([at(1), at(10)], [at(4), at(10)])).toEqual(new Map([["recorded", 3]]));
  });

  test("are not believed when a router began anew", () => {
    expect(outcomesBetween([at(5)], [at(4)])).toBeUndefined();
    expect(outcomesBetween([at(5)], [at(9, 6)])).toBeUndefined();
    expect(outcomesBetween(undefined, [at(9)])).toBeUndefined();
  });

  test("tell how many refusals were soon", () => {
    const buckets = (soon: number, all: number) =>
      seriesOf(
        ["0.05", "0.1", "1"]
          .map((le, i) => `urna_rpc_refusal_seconds_bucket{le="${le}",rpc="x"} ${i === 2 ? all : soon}`)
          .concat(`urna_rpc_refusal_seconds_bucket{le="+Inf",rpc="x"} ${all}`)
          .join("\n"),
      );
    const refusals = refusalsBetween([buckets(1, 1)], [buckets(91, 101)]);
    expect([refusals?.calls, refusals?.within(100)]).toEqual([100, 90]);
  });
});

describe("a spike", () => {
  const latencies = { calls: 100, p50Ms: 20, p90Ms: 60, p95Ms: 70, p99Ms: 80, maxMs: 90 };
  const overloaded = "rpc error: code = ResourceExhausted desc = too many votes are waiting";
  const report = (statuses: Record<string, number>, errors: Record<string, number>): GhzReport => ({
    ...{ calls: 200, seconds: 10, callsPerSecond: 20, callsKept: 200 },
    statuses: new Map(Object.entries(statuses)),
    errors: new Map(Object.entries(errors)),
    latencies: new Map([["ResourceExhausted", latencies]]),
  });
  const refusedWell = report({ OK: 100, ResourceExhausted: 100 }, { [overloaded]: 100 });
  const server = (within: number) => ({ calls: 100, within: () => within });
  const probe = (outcome: "recorded" | "OVERLOADED" | "failed", retryAfterMs?: number) =>
    [{ atMs: 0, latencyMs: 10, outcome, retryAfterMs }] as const;
  const states = (...args: Parameters<typeof refusalChecks>) => refusalChecks(...args).map(({ state }) => state);

  test("passes when refusals are OVERLOADED, soon, and say when to come back", () => {
    const witness = { report: refusedWell, server: server(100), probe: probe("OVERLOADED", 250) };
    expect(states(witness)).toEqual(["passed", "passed", "passed"]);
  });

  test("fails on other errors, on late refusals, and on refusals without RetryInfo", () => {
    const lost = report({ OK: 100, ResourceExhausted: 99, Unavailable: 1 }, { [overloaded]: 99 });
    expect(states({ report: lost, server: server(100), probe: probe("recorded") })[0]).toBe("failed");
    const strange = report({ OK: 100, ResourceExhausted: 100 }, { "code = ResourceExhausted desc = quota": 100 });
    expect(states({ report: strange, server: server(100), probe: probe("recorded") })[0]).toBe("failed");
    expect(states({ report: refusedWell, server: server(90), probe: probe("recorded") })[1]).toBe("failed");
    expect(states({ report: refusedWell, server: server(100), probe: probe("OVERLOADED") })[2]).toBe("failed");
    expect(states({ report: refusedWell, server: server(100), probe: probe("failed") })[0]).toBe("failed");
  });

  test("claims nothing of refusals that there were not", () => {
    const taken = { ...report({ OK: 200 }, {}), latencies: new Map() };
    expect(states({ report: taken, server: undefined, probe: probe("recorded") })).toEqual(["idle", "idle", "idle"]);
  });
});

describe("memory", () => {
  const samples = [10, 10, 10, 20, 20, 20].map((mebibytes, i) => ({
    atSeconds: i * 30,
    byName: new Map([["router-0", mebibytes]]),
  }));

  test("has a trend in the second half alone", () => {
    const [trend] = trendsOf(samples);
    expect(trend).toMatchObject({ name: "router-0", firstMiB: 10, lastMiB: 20, maxMiB: 20, mebibytesPerMinute: 0 });
  });

  test("that stays high after a spike fails; a Postgres is not judged", () => {
    const idle = new Map(Object.entries({ "router-0": 100, "shard-0-primary": 10 }));
    const ended = (router: number) => new Map(Object.entries({ "router-0": router, "shard-0-primary": 5_000 }));
    expect(memoryCheck(idle, ended(900), ended(150)).state).toBe("passed");
    expect(memoryCheck(idle, ended(900), ended(500)).state).toBe("failed");
    expect(memoryCheck(idle, idle, new Map()).state).toBe("failed");
    expect(memoryCheck(new Map(), new Map(), new Map()).state).toBe("idle");
  });
});
