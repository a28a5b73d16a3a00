/**
 * Follows one thing in Consul: each query waits at the agent until something changed, and the next one begins where it
 * ended. An index that went backwards means that Consul was wiped or restored, and everything is read anew.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ConsulAnswer, ConsulClient } from "./consul-client.ts";
import { ConsulError } from "./consul-client.ts";
import { RetryPause } from "./retry-pause.ts";

export type FollowedAnswer = ConsulAnswer & {
  /** Consul knows less than it did before: it was wiped, or restored. */
  readonly startedAnew: boolean;
};

export type BlockingQueryParts = {
  readonly client: Pick<ConsulClient, "read">;
  readonly path: string;
  readonly recurse?: boolean;
  readonly bytesMax: number;
  readonly onAnswer: (answer: FollowedAnswer) => void;
  readonly onFailure: (error: ConsulError) => void;
};

/** By chance something between half and all of it, so that not all ask at once; also how soon a frozen agent is noticed. */
const waitMs = 4_000;
/** Consul adds up to a sixteenth of the wait, and has to answer. */
const graceMs = 2_500;
/** Between two queries, however fast things change. */
const leastMs = 250;
/** When Consul names no index, waiting would not wait. */
const noIndexMs = 1_000;

export class BlockingQuery {
  readonly #parts: BlockingQueryParts;
  readonly #pause = new RetryPause();
  #index = 0;

  constructor(parts: BlockingQueryParts) {
    this.#parts = parts;
  }

  /** Until the signal aborts; never throws for what Consul does. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const before = this.#index;
        const answer = await this.#ask(signal);
        const startedAnew = answer.index < before;
        this.#index = startedAnew ? 0 : answer.index;
        this.#pause.reset();
        this.#parts.onAnswer({ ...answer, startedAnew });
        await delay(answer.index === 0 ? noIndexMs : leastMs, undefined, { signal }).catch(() => undefined);
      } catch (error) {
        if (!(error instanceof ConsulError)) throw error;
        if (signal.aborted) return;
        this.#parts.onFailure(error);
        await this.#pause.wait(signal);
      }
    }
  }

  #ask(signal: AbortSignal): Promise<ConsulAnswer> {
    const { client, path, recurse = false, bytesMax } = this.#parts;
    const wait = Math.round(waitMs * (0.5 + Math.random() / 2));
    const query = { stale: true, recurse, index: this.#index, waitMs: wait };
    return client.read(path, query, { limitMs: Math.ceil(wait * (1 + 1 / 16)) + graceMs, bytesMax, signal });
  }
}
