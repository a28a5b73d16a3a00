/**
 * Watches, on a connection of its own, what can change while the writer waits: the standby's state. It makes the shard
 * NOT_SERVING in time; it never decides whether a vote is durable, because only the commit can.
 */
import type { Logger } from "pino";
import { type PostgresAddress, PostgresSession, readStandby, type StandbyState } from "./postgres-session.ts";

const everyMs = 1_000;

export class StandbyMonitor {
  readonly #address: PostgresAddress;
  readonly #log: Logger;
  readonly #onChange: (state: StandbyState) => void;
  #session: PostgresSession | undefined;
  #state: StandbyState = { state: "", lagBytes: 0 };
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(address: PostgresAddress, log: Logger, onChange: (state: StandbyState) => void) {
    this.#address = address;
    this.#log = log;
    this.#onChange = onChange;
  }

  get state(): StandbyState {
    return this.#state;
  }

  start(): void {
    void this.#look();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#session?.destroy();
  }

  async #look(): Promise<void> {
    const seen = await this.#read();
    if (this.#stopped) return;
    if (seen.state !== this.#state.state) {
      this.#log.info({ from: this.#state.state, to: seen.state }, "the standby's state changed");
    }
    this.#state = seen;
    this.#onChange(seen);
    this.#timer = setTimeout(() => void this.#look(), everyMs);
  }

  async #read(): Promise<StandbyState> {
    try {
      if (this.#session === undefined || this.#session.lost) {
        this.#session = await PostgresSession.open(this.#address, "monitor");
      }
      return await readStandby(this.#session.client, this.#address.standbyNames);
    } catch {
      this.#session?.destroy();
      this.#session = undefined;
      return { state: "", lagBytes: 0 };
    }
  }
}
