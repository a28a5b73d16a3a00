/** Whether Consul answers: one log line when it stops, one when it does again, and a sentence for a health line meanwhile. */
import type { Logger } from "#mesh/log.ts";
import type { ConsulError } from "./consul-client.ts";

export class ConsulTrouble {
  readonly #log: Logger;
  readonly #address: string;
  /** What does not work, and since when by the monotonic clock. */
  readonly #failing = new Map<string, { readonly sinceMs: number; error: ConsulError }>();

  constructor(address: string, log: Logger) {
    this.#address = address;
    this.#log = log;
  }

  get isThere(): boolean {
    return this.#failing.size > 0;
  }

  /** `what`: "the shard map". */
  failed(what: string, error: ConsulError, lastGoodMs: number): void {
    const before = this.#failing.get(what);
    // A revoked token is another trouble than an agent that is gone, and another thing to do.
    const isNews = before === undefined || (error.kind !== before.error.kind && error.kind !== "failed");
    if (isNews && ![...this.#failing.values()].some(({ error: { message } }) => message === error.message)) {
      this.#log.warn(
        { consul: this.#address, because: error.message },
        `Consul does not give ${what}; the last one stays`,
      );
    }
    this.#failing.set(what, { sinceMs: before?.sinceMs ?? lastGoodMs, error });
  }

  worked(what: string): void {
    if (!this.#failing.delete(what) || this.#failing.size > 0) return;
    this.#log.info({ consul: this.#address }, "Consul answers again");
  }

  /** Empty when there is none. */
  sentence(nowMs: number): string {
    const [first] = [...this.#failing.values()].sort((a, b) => a.sinceMs - b.sinceMs);
    if (first === undefined) return "";
    const seconds = Math.max(1, Math.round((nowMs - first.sinceMs) / 1000));
    const says = first.error.kind === "refused" ? "refuses this process's token" : "does not answer";
    return `Consul ${says} since ${seconds} s`;
  }
}
