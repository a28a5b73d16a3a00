/**
 * `npm run bench:tls`: what mutual TLS on every gRPC hop costs. Replays the real election with it and in plaintext, turn by
 * turn in one run, so that whatever else the machine does falls on both; discovery is the same file both times. A replay
 * during which the machine was busy with other things is set aside and made again, within limits. Writes
 * bench/results/<date>-tls-cost.json and .md.
 *
 *   --pairs N      of replays (default 3)
 *   --rate N       votes a second, for 20 s each; else all votes as fast as they go. On a machine that is busy with other
 *                  things only CPU a vote at a rate that both sides keep says anything
 *   --tries N      so often a replay is made when it is disturbed (default 4)
 *   --name NAME    of the result (default tls-cost)
 *   --no-write     print only
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { benchConditions } from "#bench/bench-conditions.ts";
import {
  comparePairs,
  measureInQuiet,
  type PairsReport,
  pairsMarkdown,
  percent,
  type ReplayPair,
} from "#bench/replay-pairs.ts";
import { type ReplayFigures, runReplayOnce } from "#bench/replay-run.ts";
import { checkoutRoot } from "#deploy/own-node.ts";

const { values: options } = parseArgs({
  options: {
    pairs: { type: "string", default: "3" },
    tries: { type: "string", default: "4" },
    rate: { type: "string" },
    name: { type: "string", default: "tls-cost" },
    "no-write": { type: "boolean", default: false },
  },
});
const pairs = wholeNumber("pairs");
const tries = wholeNumber("tries");
const rate = options.rate === undefined ? [] : ["--rate", String(wholeNumber("rate"))];

const runs: ReplayPair[] = [];
let setAside = 0;
for (let pair = 1; pair <= pairs; pair++) {
  const on = await quietly(`pair ${pair}, TLS`, "--tls");
  runs.push({ on, off: await quietly(`pair ${pair}, plaintext`) });
}

const command = `npm run bench:tls -- ${process.argv.slice(2).join(" ")}`.trim();
const conditions = await benchConditions(command, runs[0]?.on.postgres ?? "");
const report = { schema_version: 1, name: options.name, conditions, ...comparePairs(runs, setAside) } as const;
console.log(markdownOf(report));
if (!options["no-write"]) {
  const folder = join(import.meta.dirname, "results");
  const base = join(folder, `${conditions.date.slice(0, 10)}-${options.name}`);
  await mkdir(folder, { recursive: true });
  await writeFile(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFile(`${base}.md`, markdownOf(report));
  console.error(`written: ${base}.json, ${base}.md`);
}

async function quietly(what: string, ...how: readonly string[]): Promise<ReplayFigures> {
  const { figures, setAside: worse } = await measureInQuiet(what, (which) => measure(which, how), tries);
  setAside += worse.length;
  return figures;
}

async function measure(what: string, how: readonly string[]): Promise<ReplayFigures> {
  const figures = await runReplayOnce(checkoutRoot, ...how, ...rate);
  const { votes_per_second, cpu_us_a_vote_in_all, other_cores } = figures;
  const others = other_cores === undefined ? "" : `, ${other_cores} cores busy with other things`;
  console.error(`${what}: ${votes_per_second} votes/s, ${cpu_us_a_vote_in_all} µs CPU a vote${others}`);
  return figures;
}

function markdownOf(report: PairsReport): string {
  const byCpu = percent(report.rate_kept_by_cpu);
  const tls = "With mutual TLS on every hop, the load generator's included,";
  const verdict =
    rate.length > 0
      ? `${tls} a machine that lacks nothing but CPU\nkeeps **${byCpu}** of its rate (median of the pairs).`
      : `${tls} the machine keeps **${percent(report.rate_kept)}** of the rate\n` +
        `(median of the pairs), and by CPU a vote, which a busy machine changes less, ${byCpu}.`;
  return pairsMarkdown(report, "TLS", verdict);
}

function wholeNumber(name: "pairs" | "tries" | "rate"): number {
  const n = Number(options[name]);
  if (!Number.isInteger(n) || n < 1) throw new Error(`--${name}: a whole number is needed, not "${options[name]}"`);
  return n;
}
