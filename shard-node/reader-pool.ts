/** A few connections for reads, apart from the writer's. What they see is cut to the durable mark by whoever asks. */
import type pg from "pg";
import { RejectionError } from "#proto/rejections.ts";
import { type PostgresAddress, PostgresSession } from "./postgres-session.ts";

const sessionsMax = 4;

export class ReaderPool {
  readonly #address: PostgresAddress;
  readonly #idle: PostgresSession[] = [];
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(address: PostgresAddress) {
    this.#address = address;
  }

  /**
   * Runs the work on a session of its own; waits when all are in use. The signal ends a wait, and the session in use. Throws
   * RejectionError SHARD_UNAVAILABLE when Postgres cannot be reached, or is lost meanwhile: another try may succeed.
   */
  async use<T>(work: (client: pg.Client) => Promise<T>, signal?: AbortSignal): Promise<T> {
    while (this.#busy >= sessionsMax) await this.#turn(signal);
    this.#busy += 1;
    let session: PostgresSession | undefined;
    const cut = () => session?.destroy();
    try {
      signal?.throwIfAborted();
      session = await this.#open();
      signal?.addEventListener("abort", cut, { once: true });
      if (signal?.aborted) cut();
      return await work(session.client);
    } catch (error) {
      if (session?.lost === false) {
        session.destroy();
        throw error;
      }
      throw new RejectionError("SHARD_UNAVAILABLE", "the shard's Postgres cannot be read at the moment");
    } finally {
      signal?.removeEventListener("abort", cut);
      this.#release(session);
    }
  }

  close(): void {
    for (const session of this.#idle.splice(0)) session.destroy();
  }

  /** Resolves when a session may be free; throws when the signal aborts, so that nobody's turn is lost on it. */
  async #turn(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      const place = this.#waiting.indexOf(resolve);
      if (place !== -1) this.#waiting.splice(place, 1);
      reject(signal?.reason);
    };
    this.#waiting.push(resolve);
    signal?.addEventListener("abort", leave, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }

  async #open(): Promise<PostgresSession> {
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (!session.lost) return session;
    }
    return await PostgresSession.open(this.#address, "reader");
  }

  #release(session: PostgresSession | undefined): void {
    this.#busy -= 1;
    if (session !== undefined && !session.lost) this.#idle.push(session);
    this.#waiting.shift()?.();
  }
}
