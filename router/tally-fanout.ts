/**
 * The tally's answers as they come through Redis. What callers ask for again and again is listened for, so that it is here
 * before it is asked for; what another router listens for can be read from Redis; for the rest, and whenever Redis does not
 * tell the latest, the tally is asked.
 */
import type { Logger } from "#mesh/log.ts";
import type { RedisLink } from "#mesh/redis-link.ts";
import { EncodedMessage } from "#mesh/service-call.ts";
import type { FrameCut } from "#proto/frame-order.ts";
import type { TallyView, ViewNames } from "#proto/published-tally.ts";
import { publishedForMs, readPublished } from "#proto/published-tally.ts";
import type { KeptAnswer, TallyMemory } from "./tally-memory.ts";

export type FanoutLimits = {
  /** Views that are watched, and views that were merely asked for, that are listened for. */
  readonly heldMax: number;
  readonly polledMax: number;
  /** Views that were asked for once and are remembered. */
  readonly askedOnceMax: number;
  /** A view that was asked for is listened for so long. */
  readonly lingerMs: number;
  /** Names in one command to Redis, and how long it may take. */
  readonly listenNamesMax: number;
  readonly listenLimitMs: number;
};

export type FanoutParts = {
  readonly link: RedisLink;
  readonly names: ViewNames;
  readonly memory: TallyMemory;
  readonly limits: FanoutLimits;
  readonly log: Logger;
};

export type FoundAnswer = { readonly answer: KeptAnswer; readonly source: "memory" | "redis" };

/** Why an answer was not taken: published too long ago, behind what was shown, not to be read, or no room for it. */
export type DropReason = "late" | "behind" | "unreadable" | "no_room";

type Want = { readonly view: TallyView; holds: number; untilMs: number };

const sweepEveryMs = 1_000;

export class TallyFanout {
  readonly dropped = new Map<DropReason, number>();
  readonly #parts: FanoutParts;
  readonly #wants = new Map<string, Want>();
  /** Until when a second question counts; in the order of the first. */
  readonly #askedOnce = new Map<string, number>();
  /** Names that Redis has confirmed. */
  readonly #listening = new Set<string>();
  readonly #fetching = new Map<string, Promise<void>>();
  readonly #unpacking = new Set<string>();
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #sweeper: NodeJS.Timeout;
  #arranging = false;
  #refusal = "";

  constructor(parts: FanoutParts) {
    this.#parts = parts;
    parts.link.onUp(() => {
      // The connection may be another one.
      this.#listening.clear();
      void this.#arrange();
    });
    parts.link.onMessage((name, message) => this.#hear(name, message));
    this.#sweeper = setInterval(() => this.#sweep(), sweepEveryMs);
  }

  get views(): number {
    return this.#parts.memory.answers;
  }

  get bytes(): number {
    return this.#parts.memory.bytes;
  }

  get redisAnswers(): boolean {
    return this.#parts.link.answers;
  }

  /** "" while all is well; else a sentence for an operator. */
  trouble(): string {
    const trouble = this.#parts.link.trouble() || (this.#refusal && `Redis lets nobody listen (${this.#refusal})`);
    return trouble === "" ? "" : `${trouble}; reads ask the tally`;
  }

  close(): void {
    clearInterval(this.#sweeper);
    this.#parts.link.close();
    for (const wakers of this.#waiting.values()) for (const wake of wakers) wake();
  }

  /** The newest answer that may be shown, from memory. */
  show(view: TallyView): KeptAnswer | undefined {
    return this.#parts.memory.show(this.#parts.names.nameOf(view));
  }

  /** The same, and else from Redis where it may know more than this router. Undefined: the tally must be asked. */
  async find(view: TallyView, mayAskRedis = true): Promise<FoundAnswer | undefined> {
    const { names, memory, link } = this.#parts;
    const name = names.nameOf(view);
    const kept = memory.show(name);
    if (kept !== undefined) {
      this.want(view);
      return { answer: kept, source: "memory" };
    }
    // What is listened for would have come.
    if (this.#listening.has(name) || !link.answers || !mayAskRedis) return undefined;
    await this.#fetch(name, view);
    const answer = memory.show(name);
    if (answer !== undefined) this.want(view);
    // Nothing is kept that the sweep does not know of.
    if (!this.#wants.has(name)) memory.forget(name);
    return answer === undefined ? undefined : { answer, source: "redis" };
  }

  /** Notes that an answer of the tally itself is shown; false when it is behind what was shown before. */
  pass(electionId: string, cut: FrameCut): boolean {
    return this.#parts.memory.pass(electionId, cut);
  }

  /**
   * Listens for the view for a while, from the second time on that it is asked for within that while: to publish a view costs
   * the tally more than to answer once. Only for what the tally has answered: nobody listens for what does not exist.
   */
  want(view: TallyView): void {
    const { names, limits } = this.#parts;
    const name = names.nameOf(view);
    const nowMs = performance.now();
    const untilMs = nowMs + limits.lingerMs;
    const known = this.#wants.get(name);
    if (known !== undefined) {
      known.untilMs = untilMs;
      return;
    }
    const again = (this.#askedOnce.get(name) ?? 0) > nowMs;
    this.#askedOnce.delete(name);
    if (!again) this.#askedOnce.set(name, untilMs);
    else if (this.#countWants(({ holds }) => holds === 0) < limits.polledMax) {
      this.#wants.set(name, { view, holds: 0, untilMs });
      void this.#arrange();
    }
    const [longestAgo] = this.#askedOnce.keys();
    if (this.#askedOnce.size > limits.askedOnceMax && longestAgo !== undefined) this.#askedOnce.delete(longestAgo);
  }

  /** Listens for the view until what is returned is called. */
  hold(view: TallyView): () => void {
    const { names, limits } = this.#parts;
    const name = names.nameOf(view);
    let want = this.#wants.get(name);
    if (want === undefined) {
      if (this.#countWants(({ holds }) => holds > 0) >= limits.heldMax) return () => {};
      want = { view, holds: 0, untilMs: 0 };
      this.#wants.set(name, want);
      void this.#arrange();
    }
    const held = want;
    held.holds += 1;
    return () => {
      held.holds -= 1;
    };
  }

  /** Resolves when an answer has come, after the time, or when the signal is aborted. */
  async untilTold(view: TallyView, limitMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const name = this.#parts.names.nameOf(view);
    const told = Promise.withResolvers<void>();
    const wakers = this.#waiting.get(name) ?? new Set();
    this.#waiting.set(name, wakers.add(told.resolve));
    const leave = () => told.resolve();
    const timer = setTimeout(leave, limitMs);
    signal.addEventListener("abort", leave, { once: true });
    await told.promise;
    signal.removeEventListener("abort", leave);
    clearTimeout(timer);
    wakers.delete(told.resolve);
    if (wakers.size === 0) this.#waiting.delete(name);
  }

  #countWants(condition: (want: Want) => boolean): number {
    return this.#wants.values().reduce((sum, want) => (condition(want) ? sum + 1 : sum), 0);
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const [name, { holds, untilMs }] of this.#wants) {
      if (holds > 0 || untilMs > nowMs) continue;
      this.#wants.delete(name);
      this.#parts.memory.forget(name);
    }
    void this.#arrange();
  }

  /** Listens for what is wanted and for nothing else. What fails is tried again by the next sweep. */
  async #arrange(): Promise<void> {
    if (this.#arranging) return;
    this.#arranging = true;
    const { link, limits } = this.#parts;
    try {
      while (link.answers) {
        const missing = take(limits.listenNamesMax, this.#wants.keys(), (name) => !this.#listening.has(name));
        const surplus = take(limits.listenNamesMax, this.#listening, (name) => !this.#wants.has(name));
        if (missing.length === 0 && surplus.length === 0) return;
        const asked = await link.ask(async (redis) => {
          if (missing.length > 0) await redis.subscribe(...missing);
          if (surplus.length > 0) await redis.unsubscribe(...surplus);
        }, limits.listenLimitMs);
        this.#noteRefusal(asked.kind === "refused" ? asked.why : "");
        if (asked.kind !== "answered") return;
        for (const name of missing) this.#listening.add(name);
        for (const name of surplus) this.#listening.delete(name);
      }
    } finally {
      this.#arranging = false;
    }
  }

  #noteRefusal(why: string): void {
    if (why !== "" && this.#refusal === "") this.#parts.log.warn({ why }, "Redis lets nobody listen");
    this.#refusal = why;
  }

  #hear(name: string, message: Buffer): void {
    const want = this.#wants.get(name);
    if (want === undefined) this.#listening.add(name);
    else void this.#take(name, want.view, message);
  }

  /** At most one question for a view at a time. */
  async #fetch(name: string, view: TallyView): Promise<void> {
    let fetching = this.#fetching.get(name);
    if (fetching === undefined) {
      fetching = this.#read(name, view).finally(() => this.#fetching.delete(name));
      this.#fetching.set(name, fetching);
    }
    await fetching;
  }

  async #read(name: string, view: TallyView): Promise<void> {
    const read = await this.#parts.link.ask((redis) => redis.getBuffer(name));
    if (read.kind === "answered" && read.value !== null) await this.#take(name, view, read.value);
  }

  async #take(name: string, view: TallyView, message: Buffer): Promise<void> {
    const { memory } = this.#parts;
    // A newer one comes soon enough.
    if (this.#unpacking.has(name)) return;
    this.#unpacking.add(name);
    try {
      // A copy: the buffer may be a small part of a large one.
      const packed = readPublished(view, new Uint8Array(message));
      const atMs = this.#publishedAt(packed.publishedAtMs);
      if (atMs === undefined) return this.#drop("late");
      if (memory.isBehind(name, view.electionId, packed.cut)) return this.#drop("behind");
      const messages = (await packed.unpack()).map((bytes) => new EncodedMessage(bytes));
      const kept = memory.keep(name, { electionId: view.electionId, cut: packed.cut, atMs, messages });
      if (!kept) return this.#drop("no_room");
    } catch {
      return this.#drop("unreadable");
    } finally {
      this.#unpacking.delete(name);
    }
    for (const wake of this.#waiting.get(name) ?? []) wake();
  }

  /** By our monotonic clock; undefined when it is too long ago, or in the future. */
  #publishedAt(redisMs: number): number | undefined {
    const { redisNowMs } = this.#parts.link;
    if (redisNowMs === undefined || Math.abs(redisNowMs - redisMs) >= publishedForMs) return undefined;
    return performance.now() - Math.max(0, redisNowMs - redisMs);
  }

  #drop(reason: DropReason): void {
    this.dropped.set(reason, (this.dropped.get(reason) ?? 0) + 1);
  }
}

function take(count: number, names: Iterable<string>, condition: (name: string) => boolean): string[] {
  return Iterator.from(names).filter(condition).take(count).toArray();
}
