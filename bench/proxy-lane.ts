/** One direction of a proxied connection: messages in order, until one is stopped, all are frozen, or time is added. */
import type { Socket } from "node:net";

/** What the lane is told about each message when its turn comes. */
export type Stop = "pass" | "stop";

type Waiting = { readonly bytes: Buffer; readonly dueMs: number; readonly meet: () => Stop };

export class ProxyLane {
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #waiting: Waiting[] = [];
  #frozen = false;
  #stopped = false;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(source: Socket, sink: Socket) {
    this.#source = source;
    this.#sink = sink;
    sink.on("drain", () => this.#pump());
  }

  /** `meet` is asked once, when all before it has been passed on; "stop" keeps the message until `go`. */
  push(bytes: Buffer, delayMs: number, meet: () => Stop): void {
    this.#waiting.push({ bytes, dueMs: performance.now() + delayMs, meet });
    this.#pump();
  }

  /** The source has ended: so does the sink, after all that waits. */
  end(): void {
    this.#ended = true;
    this.#pump();
  }

  freeze(): void {
    this.#frozen = true;
    this.#source.pause();
  }

  thaw(): void {
    this.#frozen = false;
    this.#pump();
  }

  /** Passes on the message that was stopped, and what came after it. */
  go(): void {
    const message = this.#stopped ? this.#waiting.shift() : undefined;
    this.#stopped = false;
    if (message !== undefined && this.#sink.writable) this.#sink.write(message.bytes);
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#timer);
    while (!this.#frozen && !this.#stopped && this.#sink.writable && !this.#sink.writableNeedDrain) {
      const message = this.#waiting[0];
      if (message === undefined) break;
      const waitMs = message.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), waitMs);
        break;
      }
      if (message.meet() === "stop") {
        this.#stopped = true;
        break;
      }
      this.#waiting.shift();
      this.#sink.write(message.bytes);
    }
    this.#settle();
  }

  /** Takes no more from the source than can be passed on, and passes its end on. */
  #settle(): void {
    if (this.#ended && this.#waiting.length === 0 && this.#sink.writable) this.#sink.end();
    if (this.#frozen || this.#stopped || this.#sink.writableNeedDrain) this.#source.pause();
    else this.#source.resume();
  }
}
