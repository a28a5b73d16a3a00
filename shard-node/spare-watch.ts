/**
 * How a spare knows that its time has come: no new batch for three seconds, by its own monotonic clock (design, cast path
 * 7). A writer commits at least one batch a second, so silence means that nobody is writing.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type PostgresAddress, PostgresSession } from "./postgres-session.ts";
import { type Head, readHead, type SeenHead } from "./takeover.ts";

export type SpareTimes = { readonly silenceMs: number; readonly lookEveryMs: number };

/**
 * Where the head stood still, or undefined when the signal aborted. A shard that never had a writer needs one at once.
 * `onBatch` hears that somebody commits batches.
 */
export async function watchUntilSilent(
  address: PostgresAddress,
  times: SpareTimes,
  signal: AbortSignal,
  onBatch: () => void,
): Promise<SeenHead | undefined> {
  const silence = new Silence();
  let session: PostgresSession | undefined;
  let firstSeen: number | undefined;
  try {
    while (!signal.aborted) {
      try {
        if (session === undefined || session.lost) session = await PostgresSession.open(address, "monitor");
        const head = await readHead(session.client);
        firstSeen ??= head.batch;
        if (head.batch > firstSeen) onBatch();
        if (head.writerEpoch === 0 || silence.lastsMs(head, performance.now()) >= times.silenceMs) return head;
      } catch {
        // Nobody can write to a Postgres that does not answer, and its silence says nothing about the writer.
        session?.destroy();
        silence.forget();
      }
      await delay(times.lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
    return undefined;
  } finally {
    session?.destroy();
  }
}

/** Since when the same head has been seen. */
export class Silence {
  #seen: SeenHead | undefined;
  #sinceMs = 0;

  lastsMs(head: Pick<Head, "writerEpoch" | "batch">, nowMs: number): number {
    if (this.#seen?.writerEpoch !== head.writerEpoch || this.#seen.batch !== head.batch) {
      this.#seen = head;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs;
  }

  forget(): void {
    this.#seen = undefined;
  }
}
