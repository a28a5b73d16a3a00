import { expect, test } from "vitest";
import { compareLedger, isKept, ledgerCostMarkdown, type ReplayFigures } from "./ledger-cost-report.ts";
import { PatchedCheckout } from "./patched-checkout.ts";

function replayed(votesPerSecond: number, shardNodes: number): ReplayFigures {
  return {
    votes: 1_000,
    votes_per_second: votesPerSecond,
    p50_ms: 1,
    p99_ms: 9,
    cpu_us_a_vote: { routers: 5, "shard nodes": shardNodes },
    cpu_us_a_vote_in_all: 5 + shardNodes,
    postgres: "18.4",
  };
}

const on = [replayed(90, 9), replayed(50, 8), replayed(88, 10)];
const off = [replayed(100, 5), replayed(50, 5), replayed(110, 5)];
const comparison = compareLedger(on, off);

test("the ledger's cost is the median over pairs, so that one busy minute does not decide", () => {
  expect(comparison.rate_kept).toBe(0.9);
  expect(comparison.rate_kept_by_cpu).toBe(0.714);
  expect(comparison.on).toMatchObject({ votes_per_second: 88, cpu_us_a_vote: { routers: 5, "shard nodes": 9 } });
  expect(comparison.off).toMatchObject({ votes_per_second: 100, cpu_us_a_vote_in_all: 10 });
});

test("less than 85 % of the rate is not what was promised", () => {
  expect(isKept(compareLedger([replayed(85, 9)], [replayed(100, 5)]))).toBe(true);
  expect(isKept(compareLedger([replayed(84, 9)], [replayed(100, 5)]))).toBe(false);
});

test("replays without a counterpart are not compared", () => {
  expect(() => compareLedger(on, off.slice(1))).toThrow(/counterpart/);
});

test("the result says what was measured, on what, and by how much the sides differ", () => {
  const conditions = {
    date: "2026-11-25T10:00:00.000Z",
    command: "npm run bench:ledger",
    commit: "abc",
    cpu: "CPU",
    cores: 2,
    memoryGiB: 24,
    system: "linux",
    node: "v24",
    postgres: "18.4",
  };
  const text = ledgerCostMarkdown({ schema_version: 1, name: "ledger-cost", conditions, ...comparison });
  expect(text).toContain("| votes/s | 88 | 100 | −12 |");
  expect(text).toContain("| shard nodes | 9.00 | 5.00 | +4.00 |");
  expect(text).toContain("keeps **90.0 %** of the rate");
});

test("the patch that takes the ledger out still applies", async () => {
  using _copy = await PatchedCheckout.make("ledger-off", "bench/patches/ledger-off.patch");
});
