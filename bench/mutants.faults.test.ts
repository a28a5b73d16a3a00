/** Mistakes that would lose or double votes, one by one: each must turn a story or the checker red, or these check nothing. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { MutantTest } from "#bench/mutant.ts";
import { Mutant } from "#bench/mutant.ts";
import { findRedis } from "#deploy/redis-binary.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";

const redisMissing = await toolSkipReason("mistakes of routers with Redis", findRedis);
const oldAnswers = {
  project: "cluster",
  file: "router/tally-fanout.cluster.test.ts",
  title: "an answer out of an old dump",
  /** Why its test cannot run here. */
  needs: redisMissing,
} as const;
const commitPath = { project: "cluster", file: "shard-node/commit-path.cluster.test.ts" } as const;

/** Which test must fail, and how its failure must read. */
const mutants: Record<string, MutantTest & { readonly failure: RegExp; readonly needs?: string | undefined }> = {
  "late-answers-shown": { ...oldAnswers, failure: /expected 9n to be 10n/ },
  "answers-run-backwards": { ...oldAnswers, failure: /expected 9n to be 10n/ },
  "takeover-keeps-epoch": {
    ...commitPath,
    title: "frozen past its time and continued",
    failure: /writer epoch \d+: not within/,
  },
  "commit-notice-ignored": { ...commitPath, title: "ended by pg_cancel_backend", failure: /expected true to be false/ },
  "batch-by-number": {
    project: "faults",
    file: "bench/rival-batch.faults.test.ts",
    title: "a lost batch is not taken for",
    failure: /UNKNOWN/,
  },
  "counts-twice-on-reconnect": {
    project: "cluster",
    file: "bench/kills.cluster.test.ts",
    title: "a writing shard node ends",
    failure: /the tally of writer-leaves|the recount of writer-leaves differs/,
  },
  "no-unique-key": {
    project: "cluster",
    file: "bench/votes.cluster.test.ts",
    title: "gets its original receipt again",
    failure: /recorded/,
  },
};

test("every patch has its test", () => {
  const patches = readdirSync(fileURLToPath(new URL("mutants", import.meta.url)));
  expect(patches.toSorted()).toEqual(
    Object.keys(mutants)
      .map((name) => `${name}.patch`)
      .toSorted(),
  );
});

for (const [name, { failure, needs, ...story }] of Object.entries(mutants)) {
  test.skipIf(needs !== undefined)(
    `${name} turns its story red`,
    async () => {
      using mutant = await Mutant.make(name);
      const { passed, failures } = await mutant.test(story);
      expect({ passed, failed: failures.length > 0 }).toEqual({ passed: 0, failed: true });
      expect(failures.join("\n")).toMatch(failure);
    },
    200_000,
  );
}
