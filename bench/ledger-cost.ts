/**
 * `npm run bench:ledger`: what the ledger costs. Replays the real election with it and without, turn by turn in one run, so
 * that whatever else the machine does falls on both: "without" is a copy of the checkout with bench/patches/ledger-off.patch
 * in it, in which no vote has a nonce, a leaf or a place in a tree. A replay during which the machine was busy with other things
 * is set aside and made again, within limits. Writes bench/results/<date>-ledger-cost.json and .md, and ends with exit
 * code 1 when the ledger takes more of the rate than was promised.
 *
 *   --pairs N      of replays (default 3)
 *   --name NAME    of the result (default ledger-cost)
 *   --no-write     print only
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { benchConditions } from "#bench/bench-conditions.ts";
import { isKept, ledgerCostMarkdown } from "#bench/ledger-cost-report.ts";
import { PatchedCheckout } from "#bench/patched-checkout.ts";
import { comparePairs, measureInQuiet, type ReplayPair } from "#bench/replay-pairs.ts";
import { type ReplayFigures, runReplayOnce } from "#bench/replay-run.ts";

const { values: options } = parseArgs({
  options: {
    pairs: { type: "string", default: "3" },
    name: { type: "string", default: "ledger-cost" },
    "no-write": { type: "boolean", default: false },
  },
});
const pairs = Number(options.pairs);
if (!Number.isInteger(pairs) || pairs < 1) throw new Error(`--pairs: a whole number is needed, not "${options.pairs}"`);

using withLedger = await PatchedCheckout.make("ledger-on");
using withoutLedger = await PatchedCheckout.make("ledger-off", "bench/patches/ledger-off.patch");
const runs: ReplayPair[] = [];
const setAside: ReplayFigures[] = [];
for (let pair = 1; pair <= pairs; pair++) {
  const on = await quietly(`pair ${pair}, with ledger`, withLedger);
  runs.push({ on, off: await quietly(`pair ${pair}, without`, withoutLedger) });
}

const command = `npm run bench:ledger -- ${process.argv.slice(2).join(" ")}`.trim();
const conditions = await benchConditions(command, runs[0]?.on.postgres ?? "");
const report = { schema_version: 1, name: options.name, conditions, ...comparePairs(runs, setAside.length) } as const;
console.log(ledgerCostMarkdown(report));
if (!options["no-write"]) {
  const folder = join(import.meta.dirname, "results");
  const base = join(folder, `${conditions.date.slice(0, 10)}-${options.name}`);
  await mkdir(folder, { recursive: true });
  await writeFile(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFile(`${base}.md`, ledgerCostMarkdown(report));
  console.error(`written: ${base}.json, ${base}.md`);
}
process.exitCode = isKept(report) ? 0 : 1;

async function quietly(what: string, checkout: PatchedCheckout): Promise<ReplayFigures> {
  const { figures, setAside: worse } = await measureInQuiet(what, (which) => measure(which, checkout));
  setAside.push(...worse);
  return figures;
}

async function measure(what: string, { folder }: PatchedCheckout): Promise<ReplayFigures> {
  const figures = await runReplayOnce(folder);
  const { votes_per_second, cpu_us_a_vote_in_all, other_cores } = figures;
  const others = other_cores === undefined ? "" : `, ${other_cores} cores busy with other things`;
  console.error(`${what}: ${votes_per_second} votes/s, ${cpu_us_a_vote_in_all} µs CPU a vote${others}`);
  return figures;
}
