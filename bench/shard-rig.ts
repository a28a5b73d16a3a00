/**
 * One shard without router or tally, for fault tests: a real Postgres primary and synchronous standby, real shard nodes,
 * a proxy before each of their connections, and a ledger of everything that was sent and told.
 *
 *   await using rig = await ShardRig.start({ nodes: 2 });
 *   const election = await rig.open("e");
 *   const holding = rig.holdVotes("commit-answer");
 *   const casting = rig.cast(election.fresh(10));
 *   (await holding).cut();
 *   …
 *   await rig.check();
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { checkCluster } from "#bench/checker.ts";
import { type Answer, castFrames, isUnsettled, toldOf } from "#bench/rig-cast.ts";
import { RigElection } from "#bench/rig-election.ts";
import type { RigNode } from "#bench/rig-node.ts";
import { closeRig, openRig, type RigParts, type ShardRigOptions } from "#bench/rig-parts.ts";
import type { RigPostgres } from "#bench/rig-postgres.ts";
import type { Held, HoldPoint, TcpProxy } from "#bench/tcp-proxy.ts";
import { type SentVote, VoteLedger } from "#bench/vote-ledger.ts";
import { waitFor } from "#deploy/wait-for.ts";
import type { ElectionDefinition, ElectionOnShard } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { frameVotesMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

export type CastOptions = {
  /** Default 30 s. */
  readonly deadlineMs?: number;
  /** Default: the present writer. */
  readonly node?: RigNode;
  readonly signal?: AbortSignal;
};

const limitMs = 40_000;
const deadlineDefaultMs = 30_000;
const votesStatement = /COPY urna\.votes_/;

export class ShardRig implements AsyncDisposable {
  readonly ledger = new VoteLedger();
  readonly #parts: RigParts;
  readonly #elections = new Map<string, RigElection>();

  private constructor(parts: RigParts) {
    this.#parts = parts;
  }

  /** Resolves when the first node writes. Leaves nothing running when it throws. */
  static async start(options: ShardRigOptions = {}): Promise<ShardRig> {
    const rig = new ShardRig(await openRig(options));
    await (await rig.writer()).untilServing();
    return rig;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeRig(this.#parts);
  }

  get primary(): RigPostgres {
    return this.#parts.primary;
  }

  get standby(): RigPostgres {
    return this.#parts.standby;
  }

  get standbyProxy(): TcpProxy {
    return this.#parts.standbyProxy;
  }

  /** The file of the key that the shard signs with. */
  get shardKeyFile(): string {
    return this.#parts.folder.paths.shardKeyFile(0);
  }

  /** Where the nodes look for a tally; the rig has none, so a test can be it. */
  async tallyAddress(): Promise<string> {
    return await this.#parts.tallyAddress();
  }

  /** Leaves of the checkpoint that a node has in its file; -1 without one. */
  keptLeaves({ name }: RigNode): number {
    const file = join(this.#parts.folder.paths.stateFolder(name), "checkpoint");
    return existsSync(file) ? Number(readFileSync(file, "utf8").split("\n")[1]) : -1;
  }

  /** Of a node that is stopped: what it keeps for its next start. */
  forgetState({ name }: RigNode): void {
    rmSync(this.#parts.folder.paths.stateFolder(name), { recursive: true, force: true });
  }

  node(letter: string): RigNode {
    const node = this.#parts.nodes.get(letter);
    if (node === undefined) throw new Error(`there is no node ${letter}`);
    return node;
  }

  get nodes(): readonly RigNode[] {
    return [...this.#parts.nodes.values()];
  }

  /** Thaws whatever a test that failed has left frozen. */
  thaw(): void {
    for (const server of [this.primary, this.standby]) server.thaw();
    for (const node of this.nodes) {
      node.thaw();
      node.proxy.thaw();
    }
  }

  /** The node that says it writes; of two that say so, the one with the later epoch. */
  async writer(): Promise<RigNode> {
    return await waitFor("a writer", limitMs, async () => {
      const statuses = await Promise.all(
        this.nodes.map(async (node) => ({ node, epoch: (await node.status())?.writerEpoch ?? 0n })),
      );
      const best = statuses.reduce((a, b) => (b.epoch > a.epoch ? b : a));
      return best.epoch > 0n ? best.node : undefined;
    });
  }

  /** Defines and opens an election. */
  async open(id: string, schedule: { readonly closesAtMs?: number } = {}): Promise<RigElection> {
    const election = new RigElection(id, this.#parts.routerKey, schedule);
    this.#elections.set(id, election);
    const { definition, wrappedKey } = election;
    await this.#change(id, { definition, wrappedKey });
    await this.#change(id, { wantedState: ElectionState.OPEN });
    return election;
  }

  /** Answers the close batch. */
  async close({ id }: RigElection): Promise<number> {
    const election = await this.#change(id, { wantedState: ElectionState.CLOSED });
    return Number(election?.closeBatch);
  }

  /** Changes an election at its home and on the shard; tried again where the writer changes meanwhile, as a router does. */
  async #change(electionId: string, change: ElectionWish): Promise<ElectionOnShard | undefined> {
    return await waitFor(`a change of ${electionId}`, limitMs, async () => {
      const { client } = await this.writer();
      try {
        await client.putElection({ electionId, requestedBy: "rig", ...change });
        return (await client.reconcileElection({ electionId })).election;
      } catch (error) {
        if (error instanceof RejectionError && !error.retryable) throw error;
        return undefined;
      }
    });
  }

  /** Sends each vote once; one answer a vote, in order. All votes are of one election. */
  async cast(votes: readonly SentVote[], options: CastOptions = {}): Promise<Answer[]> {
    const { deadlineMs = deadlineDefaultMs, signal } = options;
    const election = this.#elections.get(votes[0]?.electionId ?? "");
    if (election === undefined) throw new Error("votes of an election that the rig does not know");
    const parts: SentVote[][] = [];
    for (let i = 0; i < votes.length; i += frameVotesMax) parts.push(votes.slice(i, i + frameVotesMax));
    const frames = parts.map((part) => election.frame(part, deadlineMs));
    const { client } = options.node ?? (await this.writer());
    const answers = (await castFrames(client, frames, signal === undefined ? {} : { signal })).flat();
    for (const [i, vote] of votes.entries()) {
      const answer = answers[i];
      if (answer === undefined) throw new Error("a vote has no answer at all (I4)");
      this.ledger.note(vote, toldOf(answer));
    }
    return answers;
  }

  /** Sends each vote until it has an outcome, as a router would. */
  async settle(votes: readonly SentVote[], withinMs = limitMs): Promise<Answer[]> {
    const answers = new Map<SentVote, Answer>();
    const until = performance.now() + withinMs;
    for (let left = [...votes]; left.length > 0; ) {
      const given = await this.cast(left);
      for (const [i, vote] of left.entries()) answers.set(vote, given[i] as Answer);
      left = left.filter((vote) => isUnsettled(answers.get(vote) as Answer));
      if (performance.now() > until) break;
    }
    return votes.map((vote) => answers.get(vote) as Answer);
  }

  /** Votes without end, several frames at a time, each sent until settled, until it is stopped. */
  storm(election: RigElection, { votesPerFrame = 20, lanes = 4 } = {}): Storm {
    const settled: SettledVote[] = [];
    let stopped = false;
    const lane = async () => {
      while (!stopped) {
        const votes = election.fresh(votesPerFrame);
        const answers = await this.settle(votes);
        for (const [i, vote] of votes.entries()) settled.push({ vote, answer: answers[i] as Answer });
      }
    };
    const ended = Promise.all(Array.from({ length: lanes }, lane));
    ended.catch(() => undefined);
    const until = async (what: string, enough: () => boolean) => {
      await waitFor(`the storm to have ${what}`, limitMs, () => (enough() ? true : undefined));
    };
    return {
      settled,
      until,
      more: async (n) => {
        const goal = settled.length + n;
        await until(`${n} more votes settled`, () => settled.length >= goal);
      },
      stop: async () => {
        stopped = true;
        await ended;
        return settled;
      },
    };
  }

  /** Stops the next COMMIT of votes, or its answer, on its way between whichever node writes and Postgres. */
  async holdVotes(what: HoldPoint): Promise<Held> {
    return await this.hold(what, votesStatement);
  }

  /** Stops the next COMMIT of a transaction with such a statement, or its answer. Held from this call on. */
  async hold(what: HoldPoint, containing: RegExp): Promise<Held> {
    const held = await Promise.race(this.nodes.map(({ proxy }) => proxy.holdNext({ what, containing })));
    for (const { proxy } of this.nodes) proxy.forgetHolds();
    return held;
  }

  /** As the superuser, past every proxy. */
  async sql<Row extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return await query<Row>(this.#parts.ownerUrl, text, values);
  }

  /** On the standby, as its superuser. */
  async standbySql(text: string): Promise<pg.QueryResultRow[]> {
    return await query(this.#parts.standbyOwnerUrl, text, []);
  }

  /** As the role that shard nodes have. */
  async serviceSql(text: string): Promise<pg.QueryResultRow[]> {
    return await query(this.#parts.serviceUrl, text, []);
  }

  /** Changes a setting of the primary behind everybody's back; undefined sets it back. Resolves when it is in force. */
  async alterSystem(setting: string, value: string | undefined): Promise<void> {
    const [before] = await this.sql<{ value: string }>("SELECT current_setting($1) AS value", [setting]);
    const change =
      value === undefined ? `RESET ${setting}` : `SET ${setting} = ${value === "" ? "''" : pg.escapeLiteral(value)}`;
    await this.sql(`ALTER SYSTEM ${change}`);
    await this.sql("SELECT pg_reload_conf()");
    await waitFor(`${setting} to change`, limitMs, async () => {
      const [now] = await this.sql<{ value: string }>("SELECT current_setting($1) AS value", [setting]);
      return now?.value === before?.value ? undefined : true;
    });
  }

  /** What the primary's tables say of these votes: rows by nullifier, as any session sees them now. */
  async rowsOf(election: RigElection, votes: readonly SentVote[]): Promise<{ leaf: number; batch: number }[]> {
    return await this.sql<{ leaf: number; batch: number }>(
      `SELECT leaf_index::float8 AS leaf, batch_number::float8 AS batch FROM urna.votes v
       JOIN urna.elections e ON e.number = v.election_number
       WHERE e.election_id = $1 AND nullifier = ANY ($2::uuid[])`,
      [election.id, votes.map((vote) => election.nullifierOf(vote))],
    );
  }

  async head(): Promise<{ epoch: number; batch: number; votes: number }> {
    const [row] = await this.sql<{ epoch: number; batch: number; votes: number }>(
      "SELECT writer_epoch::float8 AS epoch, batch_number::float8 AS batch, tree_size::float8 AS votes FROM urna.head",
    );
    if (row === undefined) throw new Error("there is no head");
    return row;
  }

  async untilEpoch(epoch: number): Promise<void> {
    await waitFor(`writer epoch ${epoch}`, limitMs, async () =>
      (await this.head()).epoch >= epoch ? true : undefined,
    );
  }

  /** The table that holds an election's votes. */
  async votesTable(electionId: string): Promise<string> {
    const [row] = await this.sql<{ number: number }>("SELECT number FROM urna.elections WHERE election_id = $1", [
      electionId,
    ]);
    return `urna.votes_${row?.number}`;
  }

  /** The writer epoch under which a batch is stored; undefined when there is no such batch. */
  async epochOf(batch: number): Promise<number | undefined> {
    const rows = await this.sql<{ epoch: number }>(
      "SELECT writer_epoch::float8 AS epoch FROM urna.batches WHERE number = $1",
      [batch],
    );
    return rows[0]?.epoch;
  }

  /** Waits until so many votes wait in the writer. */
  async untilWaiting(votes: number): Promise<void> {
    const writer = await this.writer();
    await waitFor(`${votes} votes to wait`, limitMs, async () => {
      return Number((await writer.status())?.waitingVotes) >= votes ? true : undefined;
    });
  }

  /** Process ids of the writer's sessions that are in this state. */
  async backends(condition = "true"): Promise<number[]> {
    const rows = await this.sql<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name = 'urna-writer' AND ${condition}`,
    );
    return rows.map(({ pid }) => pid);
  }

  async untilBackend(condition: string): Promise<number> {
    return await waitFor(
      `a writer's session with ${condition}`,
      limitMs,
      async () => (await this.backends(condition))[0],
    );
  }

  /** Waits until the primary sees such a receiver of its WAL. */
  async untilStandby(condition: string): Promise<void> {
    await waitFor(`a standby with ${condition}`, limitMs, async () => {
      const rows = await this.sql(`SELECT FROM pg_stat_replication WHERE ${condition}`);
      return rows.length > 0 ? true : undefined;
    });
  }

  /** Waits until the primary has given its standby up. */
  async untilNoStandby(): Promise<void> {
    await waitFor("the primary to lose its standby", limitMs, async () => {
      const rows = await this.sql("SELECT FROM pg_stat_replication");
      return rows.length === 0 ? true : undefined;
    });
  }

  /** Waits until the primary has its synchronous standby and the writer says that it serves. */
  async untilHealed(): Promise<void> {
    await waitFor("the shard to serve", limitMs, async () =>
      (await (await this.writer()).isServing()) ? true : undefined,
    );
  }

  /** For a test that failed: what the processes said last. */
  async logTail(): Promise<string> {
    const logs = [...this.nodes.map(({ log }) => log), this.primary.log, this.standby.log];
    return (await Promise.all(logs.map((log) => log.tail()))).join("\n");
  }

  /** The independent checker over everything that was ever sent through this rig. Throws with what it found. */
  async check(): Promise<void> {
    await this.untilHealed();
    const { primaryUrl, standbyUrl, routerKey } = this.#parts;
    const { findings } = await checkCluster({
      databases: [{ shardId: 0, primaryUrl, standbyUrl }],
      routerKey,
      ledger: this.ledger,
    });
    if (findings.length > 0) throw new Error(`the checker found:\n${findings.join("\n")}`);
  }
}

type ElectionWish =
  | { readonly definition: ElectionDefinition; readonly wrappedKey: Uint8Array }
  | { readonly wantedState: ElectionState };

export type SettledVote = { readonly vote: SentVote; readonly answer: Answer };

export type Storm = {
  /** Grows while it goes on. */
  readonly settled: readonly SettledVote[];
  until(what: string, enough: () => boolean): Promise<void>;
  more(votes: number): Promise<void>;
  /** Resolves when everything sent has its outcome. */
  stop(): Promise<readonly SettledVote[]>;
};

async function query<Row extends pg.QueryResultRow>(url: string, text: string, values: unknown[]): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, application_name: "urna-rig" });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}
