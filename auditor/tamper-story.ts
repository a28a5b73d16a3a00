/**
 * A cluster whose databases are changed behind everybody's back, and an auditor who knows nothing of it.
 *
 *   await using story = await TamperStory.start();
 *   await story.sql("DELETE FROM urna.votes WHERE leaf_index = 300");
 *   expect(await story.found()).toContainEqual("ROW_MISSING shard 1 leaf 300");
 *   await story.undo();
 *   expect(await story.found()).toEqual([]);
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { withSession } from "#bench/checker-shard.ts";
import { Story } from "#bench/cluster-story.ts";
import { rewriteLedger } from "#bench/ledger-rewriter.ts";
import { standbyTargets } from "#bench/standby-targets.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { CallError } from "#mesh/call-error.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { parseCheckpoint } from "#proto/ledger/checkpoint.ts";
import { RejectionError } from "#proto/rejections.ts";
import { Audit, type AuditOptions } from "./audit.ts";
import type { Finding } from "./audit-finding.ts";
import type { AuditReport } from "./audit-report.ts";

/** The shard whose database is changed; the other one is always as it was. */
export const tampered = 1;

const limitMs = 30_000;
/** Tables whose rows are put back one for one; nothing of them is written while no votes are cast. */
const keptTables = ["tiles", "elections", "home_elections", "slots"] as const;

export class TamperStory implements AsyncDisposable {
  readonly story: Story;
  readonly folder = mkdtempSync(join(tmpdir(), "urna-tamper-"));

  private constructor(story: Story) {
    this.story = story;
  }

  /** Two shards; two elections, open at the same time, one of which has closed. */
  static async start(): Promise<TamperStory> {
    const tamper = new TamperStory(await Story.start({ shards: 2, routers: 1, spares: 0 }));
    const { story } = tamper;
    await story.election("town");
    await story.election("hall");
    // The first few hundred leaves of each shard are of one election; after them both take turns.
    await story.cast("town", 800);
    for (let i = 0; i < 4; i++) {
      await story.cast("hall", 130);
      await story.cast("town", 300);
    }
    await story.electionsAt(0).closeElection({ electionId: "hall" }, story.admin);
    await story.expectTally("town");
    return tamper;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.story[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get stateFile(): string {
    return join(this.folder, "audit-state.json");
  }

  /** As superuser on the primary; resolves when the standby shows it too. */
  async sql<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    const rows = await this.story.sql<Row>(tampered, text, values);
    await this.replayed();
    return rows;
  }

  async replayed(): Promise<void> {
    const [flushed] = await this.story.sql<{ lsn: string }>(tampered, "SELECT pg_current_wal_flush_lsn()::text AS lsn");
    const url = this.story.cluster.ownerUrl(tampered, "standby");
    await waitFor("the standby to replay", limitMs, () =>
      withSession(url, async (client) => {
        const query = "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS replayed";
        const { rows } = await client.query<{ replayed: boolean }>(query, [flushed?.lsn]);
        return rows[0]?.replayed === true ? true : undefined;
      }),
    );
  }

  /** The last batch with votes, and all after it, are gone from both servers. Answers the first leaf that is missing. */
  async cutOff(): Promise<number> {
    const [cut] = await this.sql<{ number: number; leaf: number }>(
      "SELECT number::int, (tree_size - votes)::int AS leaf FROM urna.batches WHERE votes > 0 ORDER BY number DESC LIMIT 1",
    );
    const { number = 0, leaf = 0 } = cut ?? {};
    await this.sql(`
      DELETE FROM urna.votes WHERE batch_number >= ${number}; DELETE FROM urna.batches WHERE number >= ${number};
      DELETE FROM urna.tiles WHERE (tile_index + 1) * 256 ^ (level + 1) > ${leaf};
      DELETE FROM urna.count_snapshots WHERE through_batch >= ${number};
      UPDATE urna.head SET batch_number = ${number - 1}, tree_size = ${leaf}`);
    return leaf;
  }

  /** Copies everything, to be put back by `undo`. */
  async keep(): Promise<void> {
    const tables = await this.#partitions();
    await this.sql(
      [
        "CREATE SCHEMA kept",
        ...[...tables, ...keptTables, "batches", "head"].map(
          (name) => `CREATE TABLE kept.${name} AS TABLE urna.${name}`,
        ),
      ].join("; "),
    );
  }

  /** Puts back what was kept. `head`: that too; else the log keeps the pulses that the shard has written since. */
  async undo({ head = false } = {}): Promise<void> {
    const partitions = await this.#partitions();
    const columns = await this.#columnsOf("batches");
    const assignments = columns.map((column) => `${column} = k.${column}`).join(", ");
    await this.sql(
      [
        "BEGIN",
        ...[...partitions, ...keptTables].flatMap((name) => [
          `DELETE FROM urna.${name}`,
          `INSERT INTO urna.${name} SELECT * FROM kept.${name}`,
        ]),
        `UPDATE urna.batches b SET ${assignments} FROM kept.batches k WHERE b.number = k.number AND ROW(b.*) IS DISTINCT FROM ROW(k.*)`,
        "INSERT INTO urna.batches SELECT * FROM kept.batches k WHERE NOT EXISTS (SELECT FROM urna.batches b WHERE b.number = k.number)",
        ...(head ? ["DELETE FROM urna.head", "INSERT INTO urna.head SELECT * FROM kept.head"] : []),
        "DROP SCHEMA kept CASCADE",
        "COMMIT",
      ].join("; "),
    );
  }

  /** The ledger is made anew from the rows, as if they had always been like this. */
  async rewrite(): Promise<void> {
    await withSession(this.story.cluster.ownerUrl(tampered), rewriteLedger);
    await this.replayed();
  }

  /** Nobody writes the changed shard until `startShard`. */
  async stopShard(): Promise<void> {
    await this.story.cluster.stopProcess(this.#node);
  }

  async startShard(): Promise<void> {
    await this.story.cluster.startProcess(this.#node);
    await this.story.healed();
  }

  /** The shard finds that votes are missing, and an operator lets it go on without them. Answers the log's new name. */
  async acceptLoss(): Promise<string> {
    const { cluster, admin, routers } = this.story;
    await cluster.startProcess(this.#node);
    const client = createClient(LedgerService, routers[0] ?? "");
    try {
      // Until the node has looked at its log, it knows of no loss.
      const ask = () =>
        client.acceptLoss({ shardId: tampered }, { ...admin, deadlineMs: limitMs }).catch((error: unknown) => {
          if (error instanceof RejectionError || error instanceof CallError) return undefined;
          throw error;
        });
      const { logOrigin } = await waitFor("the loss to be accepted", limitMs, ask);
      await this.story.healed();
      return logOrigin;
    } finally {
      client.close();
    }
  }

  /** All that is known of the shard's log outside its database, save by the auditor. The shard must be stopped. */
  async forgetWitnesses(): Promise<void> {
    const { cluster } = this.story;
    await cluster.stopProcess("tally");
    for (const name of ["tally", this.#node]) rmSync(cluster.paths.stateFolder(name), { recursive: true, force: true });
    await cluster.startProcess("tally");
  }

  get #node(): string {
    return `shard-${tampered}-a`;
  }

  /** An audit of everything. */
  async audit(change: Partial<AuditOptions> = {}): Promise<AuditReport> {
    return await new Audit({ ...this.options(), ...change }).readAll();
  }

  options(): AuditOptions {
    const { cluster, routers } = this.story;
    return {
      targets: standbyTargets(cluster),
      services: { router: routers[0] ?? "", tally: cluster.endpoints.tally.grpc },
      elections: undefined,
      stateFile: this.stateFile,
      verifierKeys: [],
      onProgress: () => {},
      signal: new AbortController().signal,
    };
  }

  /** What an audit finds: "KIND shard 1 leaf 300 batch 4", with what it names. */
  async found(change: Partial<AuditOptions> = {}): Promise<string[]> {
    return (await this.audit(change)).findings.map(placeOf);
  }

  /** The signed size of the changed shard's log. */
  async signedLeaves(): Promise<number> {
    const client = createClient(LedgerService, this.story.routers[0] ?? "");
    try {
      const { signedNote } = await client.getCheckpoint({ shardId: tampered }, { deadlineMs: limitMs });
      const note = Buffer.from(signedNote).toString("utf8");
      return parseCheckpoint(note.slice(0, note.indexOf("\n\n") + 1)).size;
    } finally {
      client.close();
    }
  }

  /** Resolves when a checkpoint has all leaves of the changed shard. */
  async untilSigned(): Promise<void> {
    const [head] = await this.story.sql<{ leaves: number }>(tampered, "SELECT tree_size::int AS leaves FROM urna.head");
    await waitFor("a checkpoint of all leaves", limitMs, async () =>
      (await this.signedLeaves()) >= (head?.leaves ?? 0) ? true : undefined,
    );
  }

  /** The batch of a leaf. */
  async batchOf(leaf: number): Promise<number> {
    const [row] = await this.story.sql<{ number: number }>(
      tampered,
      "SELECT number::int FROM urna.batches WHERE tree_size > $1 ORDER BY number LIMIT 1",
      [leaf],
    );
    return row?.number ?? 0;
  }

  /** The first leaf behind this one whose ballot is another. */
  async leafUnlike(leaf: number): Promise<number> {
    const [row] = await this.story.sql<{ leaf: number }>(
      tampered,
      `SELECT min(o.leaf_index)::int AS leaf FROM urna.votes v JOIN urna.votes o ON o.leaf_index > v.leaf_index AND o.ballot <> v.ballot
       WHERE v.leaf_index = $1`,
      [leaf],
    );
    return row?.leaf ?? -1;
  }

  async #partitions(): Promise<string[]> {
    const rows = await this.story.sql<{ name: string }>(
      tampered,
      "SELECT relname AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'urna.votes'::regclass",
    );
    return rows.map(({ name }) => name);
  }

  async #columnsOf(table: string): Promise<string[]> {
    const rows = await this.story.sql<{ name: string }>(
      tampered,
      `SELECT attname AS name FROM pg_attribute WHERE attrelid = 'urna.${table}'::regclass AND attnum > 0 AND NOT attisdropped`,
    );
    return rows.map(({ name }) => name);
  }
}

/** "KIND shard 1 leaf 300 batch 4" */
export function placeOf({ kind, shardId, leaf, throughLeaf, batch, throughBatch, electionId }: Finding): string {
  const span = (name: string, first: number | undefined, last = first) =>
    first === undefined ? "" : ` ${name} ${first}${last === first ? "" : `-${last}`}`;
  const election = electionId === undefined ? "" : ` ${electionId}`;
  const shard = shardId === undefined ? "" : ` shard ${shardId}`;
  return `${kind}${shard}${election}${span("leaf", leaf, throughLeaf)}${span("batch", batch, throughBatch)}`;
}
