/**
 * Asks one router for one tally again and again, as a page without a stream would, and keeps what must not happen: an answer
 * that is behind the one before (I7), an error, a long wait.
 */
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "#mesh/grpc-client.ts";
import { FrameOrder } from "#proto/frame-order.ts";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";

const everyMs = 20;
const deadlineMs = 10_000;

export class PollingReader {
  answers = 0;
  /** What was wrong, in words. */
  readonly faults: string[] = [];
  slowestMs = 0;
  readonly #order = new FrameOrder();
  readonly #stop = new AbortController();
  readonly #polling: Promise<void>;

  constructor(router: string, electionId: string) {
    this.#polling = this.#poll(router, electionId);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#polling;
  }

  async #poll(router: string, electionId: string): Promise<void> {
    const client = createClient(TallyService, router);
    while (!this.#stop.signal.aborted) {
      const askedAtMs = performance.now();
      try {
        const { cut } = await client.getTally({ electionId }, { deadlineMs });
        this.answers += 1;
        if (cut !== undefined && !this.#order.accept(cut)) {
          this.faults.push(`frame ${cut.frame?.incarnation}/${cut.frame?.number} is behind the one before`);
        }
      } catch (error) {
        this.faults.push(String(error));
      }
      this.slowestMs = Math.max(this.slowestMs, performance.now() - askedAtMs);
      await delay(everyMs);
    }
    client.close();
  }
}
