import { expect, test } from "vitest";
import { isKept, ledgerCostMarkdown } from "./ledger-cost-report.ts";
import { PatchedCheckout } from "./patched-checkout.ts";
import { comparePairs, isDisturbed, measureInQuiet, type ReplayPair } from "./replay-pairs.ts";
import type { ReplayFigures } from "./replay-run.ts";

function replayed(votesPerSecond: number, shardNodes: number, otherCores = 0.1): ReplayFigures {
  return {
    votes: 1_000,
    votes_per_second: votesPerSecond,
    p50_ms: 1,
    p99_ms: 9,
    cpu_us_a_vote: { routers: 5, "shard nodes": shardNodes },
    cpu_us_a_vote_in_all: 5 + shardNodes,
    other_cores: otherCores,
    postgres: "18.4",
  };
}

const pairs: ReplayPair[] = [
  { on: replayed(90, 9), off: replayed(100, 5) },
  { on: replayed(50, 8), off: replayed(50, 5) },
  { on: replayed(88, 10), off: replayed(110, 5) },
];
const comparison = comparePairs(pairs, 2);

test("the ledger's cost is the median over pairs, so that one busy minute does not decide", () => {
  expect(comparison.rate_kept).toBe(0.9);
  expect(comparison.rate_kept_by_cpu).toBe(0.714);
  expect(comparison.on).toMatchObject({ votes_per_second: 88, cpu_us_a_vote: { routers: 5, "shard nodes": 9 } });
  expect(comparison.off).toMatchObject({ votes_per_second: 100, cpu_us_a_vote_in_all: 10 });
});

test("a replay is disturbed when other things took cores, and only where the system tells", () => {
  const { other_cores: _, ...unknown } = replayed(10, 20);
  expect([replayed(10, 20, 0.9), replayed(10, 20), unknown].map(isDisturbed)).toEqual([true, false, false]);
});

test("a replay that was disturbed is made again, and the quietest one is kept", async () => {
  const made = [replayed(10, 20, 2), replayed(11, 20, 0.9), replayed(12, 20, 1.5), replayed(13, 20, 1)];
  const asked: string[] = [];
  const next = async (what: string) => made[asked.push(what) - 1] ?? replayed(0, 0);
  const { figures, setAside } = await measureInQuiet("pair 1", next);
  expect(figures.votes_per_second).toBe(11);
  expect(setAside.map(({ votes_per_second }) => votes_per_second)).toEqual([10, 12, 13]);
  expect(asked).toEqual(["pair 1", "pair 1, again", "pair 1, again", "pair 1, again"]);
});

test("less than 85 % of the rate is not what was promised", () => {
  expect(isKept(comparePairs([{ on: replayed(85, 9), off: replayed(100, 5) }], 0))).toBe(true);
  expect(isKept(comparePairs([{ on: replayed(84, 9), off: replayed(100, 5) }], 0))).toBe(false);
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
  expect(text).toContain("2 were made again for that, and 0 of those");
  expect(text).toContain("| 90 | 100 | 14.00 | 10.00 | 0.1 | 0.1 |");
});

test("the patch that takes the ledger out still applies", async () => {
  using _copy = await PatchedCheckout.make("ledger-off", "bench/patches/ledger-off.patch");
}, 60_000);
