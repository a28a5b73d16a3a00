/**
 * Whether Consul gives this process what it asks for: one log line when it stops, one when it does again, and a sentence
 * for a health line meanwhile.
 */
import type { Logger } from "#mesh/log.ts";
import type { ConsulError } from "./consul-client.ts";

type Failing = { readonly sinceMs: number; readonly refused: boolean; readonly because: string };

export class ConsulTrouble {
  readonly #log: Logger;
  readonly #address: string;
  readonly #openedAtMs = performance.now();
  /** By what was asked for; monotonic. */
  readonly #workedAtMs = new Map<string, number>();
  readonly #failing = new Map<string, Failing>();

  constructor(address: string, log: Logger) {
    this.#address = address;
    this.#log = log;
  }

  /** Whether this is what does not work. */
  has(what: string): boolean {
    return this.#failing.has(what);
  }

  /** `what`: "the shard map". */
  failed(what: string, { kind, message }: ConsulError): void {
    const refused = kind === "refused";
    const failing = [...this.#failing.values()];
    // An agent that is gone fails everything; a token that is refused is another trouble, and another thing to do.
    if (failing.length === 0 || (refused && !failing.some((each) => each.refused))) {
      const words = refused ? `Consul refuses ${what}` : `Consul does not give ${what}`;
      this.#log.warn({ consul: this.#address, because: message }, `${words}; what it gave last stays in use`);
    }
    const sinceMs = this.#failing.get(what)?.sinceMs ?? this.#workedAtMs.get(what) ?? this.#openedAtMs;
    this.#failing.set(what, { sinceMs, refused, because: message });
  }

  worked(what: string): void {
    this.#workedAtMs.set(what, performance.now());
    if (!this.#failing.delete(what) || this.#failing.size > 0) return;
    this.#log.info({ consul: this.#address }, "Consul gives everything again");
  }

  /** What Consul, or the way to it, says; empty when there is no trouble. */
  get because(): string {
    return [...this.#failing.values()].at(-1)?.because ?? "";
  }

  /** Empty when there is none. */
  sentence(nowMs: number): string {
    const failing = [...this.#failing.values()];
    if (failing.length === 0) return "";
    const sinceMs = Math.min(...failing.map((each) => each.sinceMs));
    const seconds = Math.max(1, Math.round((nowMs - sinceMs) / 1000));
    const refused = failing.some((each) => each.refused);
    return `Consul ${refused ? "refuses this process's token" : "does not answer"} since ${seconds} s`;
  }
}
