/**
 * What `npm start` runs: a cluster on this machine, a real election replayed through it, and the proof that the tally is
 * the file. In this order: read the file, start the cluster, make the election, replay, check, stay up.
 */
import { join, resolve } from "node:path";
import type { ElectionFile } from "#bench/election-file.ts";
import { readElectionFile } from "#bench/election-file.ts";
import { replay } from "#bench/replay.ts";
import type { ReplayReport } from "#bench/replay-account.ts";
import { checkTally } from "#bench/tally-check.ts";
import type { RecountProgress, WatchTallyResponse } from "#proto/generated/urna/v1/tally_service_pb.js";
import { buildWeb } from "#web/build.ts";
import { startedByNpm } from "./config.ts";
import type { ConsulServerCount } from "./consul-settings.ts";
import type { DemoMesh } from "./demo-election.ts";
import { ensureElection, meshNodes, storedBallots, watchTally } from "./demo-election.ts";
import { invitation } from "./demo-invitation.ts";
import type { DemoFacts } from "./demo-result.ts";
import { demoJson } from "./demo-result.ts";
import { DemoScreen } from "./demo-screen.ts";
import { formatCount, progressLines, tallyLine } from "./demo-text.ts";
import { EmbeddedCluster } from "./embedded-cluster.ts";
import { checkoutRoot } from "./own-node.ts";
import { runPaths } from "./run-paths.ts";

const ballotsDefault = join(checkoutRoot, "bench/data/nh-2020-president.csv");
const folderDefault = ".urna";
/** A repeated Ctrl-C within this time is the same one: npm passes on what the terminal has sent already. */
const sameSignalMs = 2_000;
const forcedExitCode = 130;
const npmLookMs = 500;

export type DemoOptions = {
  readonly ballots?: string | undefined;
  readonly shards?: number | undefined;
  readonly routers?: number | undefined;
  readonly dir?: string | undefined;
  readonly portBase?: number | undefined;
  readonly rate?: number | undefined;
  /** Consul, mutual TLS and Redis as well. */
  readonly mesh?: boolean | undefined;
  readonly consulServers?: ConsulServerCount | undefined;
  readonly replay?: boolean | undefined;
  readonly exit?: boolean | undefined;
  readonly json?: boolean | undefined;
};

/** Answers the exit code: 0 only if the tally matches the file and the recount matches the tally. */
export async function runDemo(options: DemoOptions, interrupted: AbortSignal): Promise<number> {
  const release = takeSignals();
  const signal = AbortSignal.any([interrupted, npmGone()]);
  // With --json standard output is for the one line.
  const screen = new DemoScreen(options.json ? process.stderr : process.stdout);
  const demo = new Demo(options, screen, signal);
  try {
    await demo.run();
  } catch (error) {
    demo.facts.error = signal.aborted ? "stopped before the check" : messageOf(error);
    screen.settle([`urna: ${demo.facts.error}`]);
  }
  if (options.json) process.stdout.write(`${demoJson(demo.facts)}\n`);
  try {
    if (!options.exit && demo.facts.error === undefined) await demo.stayUp();
    await demo.stop();
  } finally {
    release();
  }
  return demo.succeeded ? 0 : 1;
}

class Demo {
  readonly facts: DemoFacts = {};
  readonly #options: DemoOptions;
  readonly #screen: DemoScreen;
  readonly #signal: AbortSignal;
  #cluster: EmbeddedCluster | undefined;
  #electionId = "";

  constructor(options: DemoOptions, screen: DemoScreen, signal: AbortSignal) {
    this.#options = options;
    this.#screen = screen;
    this.#signal = signal;
  }

  get succeeded(): boolean {
    const { verdict, error } = this.facts;
    return error === undefined && verdict?.tallyMatchesFile === true && verdict.recountMatchesTally;
  }

  async run(): Promise<void> {
    const file = await readElectionFile(resolve(this.#options.ballots ?? ballotsDefault));
    this.facts.ballots = file.ballotCount;
    this.#electionId = file.electionId;
    for (const warning of file.warnings) this.#screen.line(`warning: ${warning}`);
    const cluster = await this.#startCluster();
    this.#signal.throwIfAborted();
    const mesh = {
      routers: cluster.endpoints.routers.map(({ grpc }) => grpc),
      adminToken: cluster.adminToken(),
      identity: cluster.identity,
    };
    await this.#replayUnlessStored(mesh, file);
    this.#signal.throwIfAborted();
    await this.#check(mesh, file);
    this.facts.nodes = await meshNodes(mesh, cluster.shards);
  }

  /** Until somebody asks us to stop. */
  async stayUp(): Promise<void> {
    const cluster = this.#cluster;
    if (cluster === undefined) return;
    const { endpoints, paths } = cluster;
    for (const text of invitation(endpoints, paths, this.#electionId, folderDefault)) this.#screen.line(text);
    if (this.#signal.aborted) return;
    await new Promise((resolve) => this.#signal.addEventListener("abort", resolve, { once: true }));
  }

  async stop(): Promise<void> {
    if (this.#cluster === undefined) return;
    this.#screen.line("stopping: services drain, then Postgres stops");
    await this.#cluster.stop();
    this.#screen.line(`stopped; the votes stay in ${this.#cluster.paths.root}`);
  }

  async #startCluster(): Promise<EmbeddedCluster> {
    const { shards, routers, portBase, consulServers = 1 } = this.#options;
    const mesh = this.#options.mesh ? { consulServers } : undefined;
    const dir = resolve(this.#options.dir ?? folderDefault);
    const started = performance.now();
    const signal = this.#signal;
    const webRoot = runPaths(dir).web;
    await buildWeb(webRoot);
    const log = (line: string) => this.#screen.line(line);
    this.#cluster = await EmbeddedCluster.start({ dir, shards, routers, portBase, webRoot, mesh, log, signal });
    this.#screen.line(`everything serves after ${((performance.now() - started) / 1_000).toFixed(1)} s`);
    this.#screen.line(`results page: ${this.#cluster.endpoints.web}`);
    return this.#cluster;
  }

  async #replayUnlessStored(mesh: DemoMesh, file: ElectionFile): Promise<void> {
    const existed = await ensureElection(mesh, file, this.#signal);
    const stored = existed ? await storedBallots(mesh, file.electionId, this.#signal) : 0;
    const all = formatCount(file.ballotCount);
    if (stored >= file.ballotCount && !this.#options.replay) {
      this.#screen.line(`${formatCount(stored)} ballots of ${file.electionId} are stored; going on with them`);
      this.#screen.line("(--replay sends every ballot again: each is answered with its first receipt)");
      return;
    }
    if (stored > 0) {
      this.#screen.line(`${formatCount(stored)} ballots are stored; sending all ${all} again: no vote counts twice`);
    } else this.#screen.line(`replaying ${all} ballots of ${file.electionId}, each through a router to its shard`);
    await this.#replay(mesh, file);
  }

  async #replay(mesh: DemoMesh, file: ElectionFile): Promise<void> {
    const watching = new AbortController();
    let frame: WatchTallyResponse | undefined;
    const watched = watchTally(mesh, file.electionId, watching.signal, (newest) => {
      frame = newest;
    });
    let lines: string[] = [];
    const { rate } = this.#options;
    this.facts.replay = await replay({
      routers: mesh.routers,
      identity: mesh.identity,
      file,
      signal: this.#signal,
      ...(rate === undefined ? {} : { ratePerSecond: rate }),
      onProgress: (progress) => {
        lines = progressLines(progress);
        this.#screen.show([...lines, tallyLine(frame)]);
      },
    }).finally(() => watching.abort());
    await watched;
    this.#screen.settle(lines);
    this.#reportReplay(this.facts.replay);
  }

  #reportReplay({
    recorded,
    repeats,
    rejected,
    unknown,
    unsent,
    seconds,
    votesPerSecond,
    p50Ms,
    p99Ms,
  }: ReplayReport): void {
    const refusals = Object.entries(rejected).map(([reason, votes]) => `${formatCount(votes)} ${reason}`);
    const others = [...refusals, ...(unknown + unsent > 0 ? [`${formatCount(unknown + unsent)} unknown`] : [])];
    this.#screen.line(
      `${formatCount(recorded)} recorded, ${formatCount(repeats)} repeats${others.map((text) => `, ${text}`).join("")} ` +
        `in ${seconds.toFixed(1)} s: ${formatCount(votesPerSecond)} acknowledged votes/s, ` +
        `p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms a batch`,
    );
  }

  async #check(mesh: DemoMesh, file: ElectionFile): Promise<void> {
    const { replay: report } = this.facts;
    const acknowledged = report === undefined ? file.ballotCount : report.recorded + report.repeats;
    this.#screen.line("checking: the tally against the file, then a recount of every stored row");
    const onRecountProgress = ({ rowsCounted }: RecountProgress) =>
      this.#screen.show([`  recount: ${formatCount(rowsCounted)} rows`]);
    const { identity, routers } = mesh;
    const address = routers[0] ?? "";
    const verdict = await checkTally({ address, identity, file, acknowledged, onRecountProgress });
    this.#screen.settle([]);
    this.facts.verdict = verdict;
    for (const difference of verdict.differences) this.#screen.line(`  ${difference}`);
    const say = (matches: boolean, what: string) => this.#screen.line(`${matches ? "✓" : "✗ NOT:"} ${what}`);
    say(verdict.tallyMatchesFile, "the tally equals the file by candidate, by county and by precinct, at one cut");
    say(verdict.recountMatchesTally, "a recount of the stored rows agrees with the tally");
  }
}

/** Fires when the npm that started us is gone: killed, it could not say so. */
function npmGone(): AbortSignal {
  const gone = new AbortController();
  const npm = process.ppid;
  const look = () => process.ppid !== npm && gone.abort();
  if (startedByNpm) setInterval(look, npmLookMs).unref();
  return gone.signal;
}

/** Ours until released: a signal asks the demo to stop, and only a later one ends the process at once. */
function takeSignals(): () => void {
  let firstMs: number | undefined;
  const onSignal = () => {
    firstMs ??= performance.now();
    // The reaper stops what we leave.
    if (performance.now() - firstMs > sameSignalMs) process.exit(forcedExitCode);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return () => {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
