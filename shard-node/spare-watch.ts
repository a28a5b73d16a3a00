/**
 * How a spare knows that its time has come (design, cast path 7). A writer commits at least one batch a second, so three
 * seconds without a new one, by the spare's own monotonic clock, mean that nobody is writing. Sooner when the writer has
 * resigned, or discovery knows that its process has ended. None of these is a fence: whoever is wrong deposes a writer,
 * which loses no vote, and of several spares the takeover lets exactly one through.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type PostgresAddress, PostgresSession } from "./postgres-session.ts";
import { type Head, readHead, type SeenHead } from "./takeover.ts";

export type SpareTimes = { readonly silenceMs: number; readonly lookEveryMs: number };

/** Why a spare may take over. */
export type Vacancy = "no writer yet" | "the writer has resigned" | "the writer's process has ended" | "silence";

export type FreeHead = { readonly seen: SeenHead; readonly vacancy: Vacancy };

/**
 * Spares that see the same pause by chance and look again, so that as a rule one is first and the others see it. A shard that
 * never had a writer keeps nobody waiting.
 */
const pauseMsMax = 200;

export type SpareWatchOptions = {
  readonly address: PostgresAddress;
  readonly times: SpareTimes;
  readonly ended: EndedWriters;
  /** Hears that somebody commits batches. */
  readonly onBatch: () => void;
  readonly signal: AbortSignal;
  /** From 0 to 1; by chance when left out. */
  readonly random?: () => number;
};

/** Where the head stood free, or undefined when the signal aborted. */
export async function watchUntilFree(options: SpareWatchOptions): Promise<FreeHead | undefined> {
  const { address, times, ended, onBatch, signal, random = Math.random } = options;
  const watch = new HeadWatch(times.silenceMs, ended);
  const pause = async (ms: number) => await delay(ms, undefined, { signal }).catch(() => undefined);
  let session: PostgresSession | undefined;
  let firstSeen: number | undefined;
  try {
    while (!signal.aborted) {
      try {
        if (session === undefined || session.lost) session = await PostgresSession.open(address, "monitor");
        const seen = await readHead(session.client);
        firstSeen ??= seen.batch;
        if (seen.batch > firstSeen) onBatch();
        const vacancy = watch.vacancyOf(seen, performance.now());
        if (vacancy !== undefined) {
          if (vacancy !== "no writer yet") await pause(random() * pauseMsMax);
          if (!signal.aborted && isSame(seen, await readHead(session.client))) return { seen, vacancy };
        }
      } catch {
        // Nobody can write to a Postgres that does not answer, and its silence says nothing about the writer.
        session?.destroy();
        watch.forget();
      }
      await pause(times.lookEveryMs);
    }
    return undefined;
  } finally {
    session?.destroy();
  }
}

/**
 * A spare that has just begun to watch hears first what the other nodes keep (witness.ts): in a shard that was stopped as a
 * whole, its last writer alone may know of the last votes, and would notice their loss (I8).
 */
const listenMs = 1_000;

export type WatchedHead = Pick<Head, "writerEpoch" | "batch" | "writer" | "resignedEpoch">;

/** What the heads that a spare reads, one after the other, say about their writer. */
export class HeadWatch {
  readonly #silenceMs: number;
  readonly #ended: EndedWriters;
  #beganAtMs: number | undefined;
  #seen: SeenHead | undefined;
  #sinceMs = 0;

  constructor(silenceMs: number, ended: EndedWriters) {
    this.#silenceMs = silenceMs;
    this.#ended = ended;
  }

  vacancyOf(head: WatchedHead, nowMs: number): Vacancy | undefined {
    if (this.#seen === undefined || !isSame(this.#seen, head)) {
      this.#seen = head;
      this.#sinceMs = nowMs;
    }
    this.#beganAtMs ??= nowMs;
    if (head.writerEpoch === 0) return "no writer yet";
    if (nowMs - this.#sinceMs >= this.#silenceMs) return "silence";
    if (nowMs - this.#beganAtMs < listenMs) return undefined;
    if (head.resignedEpoch === head.writerEpoch) return "the writer has resigned";
    return this.#ended.names(head.writer, nowMs) ? "the writer's process has ended" : undefined;
  }

  /** The database did not answer: silence begins anew. */
  forget(): void {
    this.#seen = undefined;
  }
}

/** After a takeover on discovery's word its next word is not heard for so long: it may be wrong, and writers must not flap. */
const nextWordMs = 10_000;

/** Which writers have ended, as discovery says; it outlives the watches of one node. */
export class EndedWriters {
  readonly #hasEnded: (process: string) => boolean;
  #deafUntilMs = Number.NEGATIVE_INFINITY;

  constructor(hasEnded: (process: string) => boolean) {
    this.#hasEnded = hasEnded;
  }

  names(process: string, nowMs: number): boolean {
    return nowMs >= this.#deafUntilMs && this.#hasEnded(process);
  }

  /** To be called before a takeover on discovery's word. */
  heeded(nowMs: number): void {
    this.#deafUntilMs = nowMs + nextWordMs;
  }
}

function isSame(a: SeenHead, b: SeenHead): boolean {
  return a.writerEpoch === b.writerEpoch && a.batch === b.batch;
}
