/** Keeps the filters of voters right: filled with what was stored before this writer took over, and with what it stores. */
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import type { Logger } from "#mesh/log.ts";
import { nullifierBytes } from "#proto/limits.ts";
import type { SealedBatch } from "./batch.ts";
import type { ElectionBook, ElectionEntry } from "./election-book.ts";
import { type PostgresAddress, PostgresSession } from "./postgres-session.ts";

/** Pages of the table read at a time: about a megabyte of nullifiers. */
const pagesAtATime = 1_000;
const lookEveryMs = 1_000;

/**
 * Until the signal aborts. A book is made anew by each takeover, so whatever was committed before it shows in a snapshot
 * taken now, and whatever is committed after it is added by the writer. Never throws.
 */
export async function fillVoterFilters(
  book: () => ElectionBook,
  address: PostgresAddress,
  signal: AbortSignal,
  log: Logger,
): Promise<void> {
  while (!signal.aborted) {
    const filling = [...book().entries()].filter(({ voters }) => voters.filling);
    try {
      if (filling.length > 0) await fillAll(filling, address, signal);
    } catch (error) {
      // Until then every voter is looked up; the next look tries again.
      if (!signal.aborted) log.warn({ err: error }, "a filter of voters was not filled");
    }
    await delay(lookEveryMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Of a batch that is stored. In the book of now: a takeover since it was sealed has made a new one. */
export function rememberVoters(book: ElectionBook, { newVotes }: SealedBatch): void {
  for (const { election, votes } of newVotes) {
    const voters = book.byNumber(election.number)?.voters;
    for (const { frame, index } of votes) voters?.add(frame.nullifiers, index * nullifierBytes);
  }
}

async function fillAll(elections: readonly ElectionEntry[], address: PostgresAddress, signal: AbortSignal) {
  const session = await PostgresSession.open(address, "reader", { signal });
  try {
    for (const election of elections) await fill(session.client, election);
  } finally {
    session.destroy();
  }
}

async function fill(client: pg.Client, { number, voters }: ElectionEntry): Promise<void> {
  const { rows } = await client.query<{ pages: string }>(
    "SELECT pg_relation_size($1::regclass) / current_setting('block_size')::int AS pages",
    [`urna.votes_${number}`],
  );
  const pages = Number(rows[0]?.pages ?? 0);
  // A filter that has given up in the middle is never filled.
  for (let page = 0; page < pages && voters.filling; page += pagesAtATime) {
    const part = await client.query<{ nullifiers: Buffer | null }>(
      `SELECT string_agg(uuid_send(nullifier), '') AS nullifiers FROM urna.votes_${number}
       WHERE ctid >= $1::text::tid AND ctid < $2::text::tid`,
      [`(${page},0)`, `(${page + pagesAtATime},0)`],
    );
    const nullifiers = part.rows[0]?.nullifiers ?? Buffer.alloc(0);
    for (let at = 0; at < nullifiers.length; at += nullifierBytes) voters.add(nullifiers, at);
  }
  voters.filled();
}
