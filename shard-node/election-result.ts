/** What this shard signs of an election that has closed on it: the ledger at the close batch, and the counts up to it. */
import type pg from "pg";
import { type ContestResult, formatElectionResult } from "#proto/ledger/election-result.ts";
import { RejectionError } from "#proto/rejections.ts";
import { readCounts } from "./count-reader.ts";
import type { ElectionEntry } from "./election-book.ts";

/** Signed results, each worked out once: it sums up all counts of the shard, and anybody may ask for it (I9). */
export class ElectionResults {
  readonly #notes = new Map<string, Promise<Buffer>>();

  /** `make` is called for the first who asks, and for the next one if it fails. */
  note(origin: string, electionId: string, make: () => Promise<Buffer>): Promise<Buffer> {
    const key = `${origin} ${electionId}`;
    const known = this.#notes.get(key);
    if (known !== undefined) return known;
    const making = make();
    this.#notes.set(key, making);
    making.catch(() => this.#notes.delete(key));
    return making;
  }
}

/** The text to be signed. Throws RejectionError RESULTS_SEALED when the election's close is not durable yet. */
export async function electionResultText(
  client: pg.Client,
  origin: string,
  election: ElectionEntry,
  durableBatch: number,
): Promise<string> {
  const { closeBatch } = election;
  if (closeBatch === 0 || closeBatch > durableBatch) {
    throw new RejectionError("RESULTS_SEALED", `"${election.id}" has not closed: its result is signed when it has`);
  }
  const { size, root } = await readHead(client, closeBatch);
  const totals = await readTotals(client, election, durableBatch);
  const { definitionHash } = election.shape;
  const [ballots = 0] = totals;
  const contests = contestResults(election, totals);
  return formatElectionResult({
    checkpoint: { origin, size, root },
    electionId: election.id,
    definitionHash,
    closeBatch,
    ballots,
    contests,
  });
}

async function readHead(client: pg.Client, batch: number): Promise<{ size: number; root: Buffer }> {
  const { rows } = await client.query<{ tree_size: string; root: Buffer }>(
    "SELECT tree_size, root FROM urna.batches WHERE number = $1",
    [batch],
  );
  const row = rows[0];
  if (row === undefined) throw new Error(`batch ${batch}, which closed an election, is not in the log`);
  return { size: Number(row.tree_size), root: row.root };
}

/** By cell. After the close nothing is added (I10), so the newest totals are those of the close; and quicker to read. */
async function readTotals(client: pg.Client, { number }: ElectionEntry, throughBatch: number): Promise<number[]> {
  const { deltas } = await readCounts(client, 0, throughBatch);
  const totals: number[] = [];
  deltas.n.forEach((n, i) => {
    const cell = deltas.cells[i] ?? 0;
    if (deltas.elections[i] === number) totals[cell] = (totals[cell] ?? 0) + n;
  });
  return totals;
}

function contestResults({ shape }: ElectionEntry, totals: readonly number[]): ContestResult[] {
  return [...shape.contests.values()].map(({ contestId, optionIds, firstCell, undervoteCell }) => ({
    contestId,
    options: optionIds.map((optionId, i) => ({ optionId, count: totals[firstCell + i] ?? 0 })),
    undervotes: totals[undervoteCell] ?? 0,
  }));
}
