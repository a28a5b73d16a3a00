/**
 * A connection to Redis that nothing ever waits for: a command is answered within a short limit or not at all. Once Redis
 * has failed nobody asks it again, until the link's own probe was answered: the others find out without waiting. Commands
 * are never queued, sent again or kept (I9). The probe asks Redis for the time, so that all who use one Redis have one clock.
 */
import { Redis } from "ioredis";
import type { Logger } from "#mesh/log.ts";
import type { RedisPlace } from "#mesh/redis-place.ts";

/** What became of a command. `refused`: Redis answered that it would not, and why. `silent`: it did not answer. */
export type RedisAnswer<T> =
  | { readonly kind: "answered"; readonly value: T }
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "silent" };

export type RedisTimes = {
  /** A command that takes longer has failed, and Redis with it. */
  readonly commandLimitMs: number;
  readonly probeEveryMs: number;
  /** A connection whose probe stays unanswered for so long is given up for a new one. */
  readonly deadAfterMs: number;
  /** Trouble that is over sooner is not spoken of. */
  readonly troubleAfterMs: number;
};

export const redisTimes: RedisTimes = {
  commandLimitMs: 150,
  probeEveryMs: 500,
  deadAfterMs: 2_000,
  troubleAfterMs: 1_000,
};

export type RedisLinkOptions = {
  readonly place: RedisPlace;
  /** Of the process, in Redis's list of clients. */
  readonly name: string;
  readonly log: Logger;
  readonly times?: RedisTimes;
};

const retryMsMax = 1_000;
const retryStepMs = 100;

export class RedisLink {
  readonly #redis: Redis;
  readonly #log: Logger;
  readonly #times: RedisTimes;
  readonly #ticker: NodeJS.Timeout;
  readonly #whenUp = new Set<() => void>();
  /** Since when Redis does not answer; undefined while it does. Monotonic. */
  #downSinceMs: number | undefined = performance.now();
  #connectedAtMs = 0;
  #probeSentAtMs: number | undefined;
  /** Unix time by the clock of Redis, less our monotonic one. */
  #clockOffsetMs: number | undefined;
  #lastError = "no answer yet";
  #told = false;
  #closed = false;

  constructor({ place, name, log, times = redisTimes }: RedisLinkOptions) {
    this.#log = log;
    this.#times = times;
    this.#redis = new Redis({
      host: place.host,
      port: place.port,
      db: place.database,
      ...(place.username === undefined ? {} : { username: place.username }),
      ...(place.password === undefined ? {} : { password: place.password }),
      ...(place.tls ? { tls: {} } : {}),
      connectionName: name.replaceAll(/[^\w.-]/g, "-"),
      protocol: 3,
      connectTimeout: times.deadAfterMs,
      disconnectTimeout: times.probeEveryMs,
      enableOfflineQueue: false,
      enableReadyCheck: false,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      disableClientInfo: true,
      maxRetriesPerRequest: 0,
      retryStrategy: (attempts) => Math.min(retryMsMax, retryStepMs * attempts),
    });
    this.#redis.on("error", (error: Error) => this.#fail(error.message));
    this.#redis.on("connect", () => {
      this.#connectedAtMs = performance.now();
    });
    this.#redis.on("close", () => this.#lose());
    this.#redis.on("ready", () => this.#probe());
    // A loop that was busy reads what came before it judges.
    this.#ticker = setInterval(() => setImmediate(() => this.#tick()), times.probeEveryMs);
  }

  /** Whether it is worth asking. */
  get answers(): boolean {
    return this.#downSinceMs === undefined;
  }

  /** Unix time in milliseconds by the clock of Redis; undefined while there is no connection to it. */
  get redisNowMs(): number | undefined {
    return this.#clockOffsetMs === undefined ? undefined : this.#clockOffsetMs + performance.now();
  }

  /** Runs the commands; none are sent while Redis does not answer. Never throws for what Redis does. */
  async ask<T>(commands: (redis: Redis) => Promise<T>, limitMs = this.#times.commandLimitMs): Promise<RedisAnswer<T>> {
    if (!this.answers || this.#closed) return { kind: "silent" };
    const late = Promise.withResolvers<"late">();
    // As with the ticker, what came in time is read first.
    const timer = setTimeout(() => setImmediate(() => late.resolve("late")), limitMs);
    try {
      const value = await Promise.race([commands(this.#redis), late.promise]);
      if (value !== "late") return { kind: "answered", value };
      this.#fail(`no answer within ${limitMs} ms`);
      return { kind: "silent" };
    } catch (cause) {
      return this.#judge(cause);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Called whenever Redis answers again; subscriptions must then be made again. */
  onUp(listener: () => void): void {
    this.#whenUp.add(listener);
  }

  /** What comes on the channels that were subscribed to. */
  onMessage(listener: (channel: string, message: Buffer) => void): void {
    this.#redis.on("messageBuffer", (channel: Buffer, message: Buffer) => listener(channel.toString(), message));
  }

  /** "" while all is well; else a clause such as "Redis does not answer since 12 s (connect ECONNREFUSED 127.0.0.1:6379)". */
  trouble(): string {
    if (this.#downSinceMs === undefined) return "";
    const downMs = performance.now() - this.#downSinceMs;
    if (downMs < this.#times.troubleAfterMs) return "";
    return `Redis does not answer since ${Math.round(downMs / 1_000)} s (${this.#lastError})`;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#ticker);
    this.#redis.disconnect();
  }

  /** An error reply is an answer; everything else that a command throws is the connection's end. */
  #judge(cause: unknown): RedisAnswer<never> {
    const why = cause instanceof Error ? cause.message : String(cause);
    // LOADING: it reads its dump, and will answer later.
    if (cause instanceof Error && cause.name === "ReplyError" && !why.startsWith("LOADING")) {
      return { kind: "refused", why };
    }
    this.#fail(why);
    return { kind: "silent" };
  }

  #tick(): void {
    if (this.#closed) return;
    this.#tell();
    const nowMs = performance.now();
    const { status } = this.#redis;
    const pendingMs = this.#probeSentAtMs === undefined ? 0 : nowMs - this.#probeSentAtMs;
    // A frozen Redis is connected to all the same, by its system, and then greets nobody.
    const stuckMs = status === "connect" ? nowMs - this.#connectedAtMs : 0;
    if (pendingMs >= this.#times.deadAfterMs || stuckMs >= this.#times.deadAfterMs) this.#reconnect();
    else if (this.#probeSentAtMs === undefined && status === "ready") this.#probe();
    else if (pendingMs >= this.#times.probeEveryMs) this.#fail("the probe is not answered");
  }

  /** Once for each change. */
  #tell(): void {
    const trouble = this.trouble();
    if (trouble !== "" && !this.#told) {
      this.#told = true;
      this.#log.warn({ trouble }, "Redis does not answer: what it is for goes on without it");
    } else if (this.#told && this.answers) {
      this.#told = false;
      this.#log.info("Redis answers again");
    }
  }

  #probe(): void {
    const sentAtMs = performance.now();
    this.#probeSentAtMs = sentAtMs;
    this.#redis.time().then(
      ([seconds, microseconds]) => this.#probed(sentAtMs, Number(seconds) * 1_000 + Number(microseconds) / 1_000),
      (cause: unknown) => {
        if (this.#probeSentAtMs === sentAtMs) this.#probeSentAtMs = undefined;
        this.#fail(cause instanceof Error ? cause.message : String(cause));
      },
    );
  }

  #probed(sentAtMs: number, redisMs: number): void {
    if (this.#closed || this.#probeSentAtMs !== sentAtMs) return;
    this.#probeSentAtMs = undefined;
    const nowMs = performance.now();
    this.#clockOffsetMs = redisMs - nowMs;
    if (nowMs - sentAtMs > this.#times.commandLimitMs) {
      this.#fail(`it took ${Math.round(nowMs - sentAtMs)} ms to answer`);
      return;
    }
    if (this.#downSinceMs === undefined) return;
    this.#downSinceMs = undefined;
    for (const listener of this.#whenUp) listener();
  }

  #fail(why: string): void {
    this.#lastError = why;
    this.#downSinceMs ??= performance.now();
  }

  #lose(): void {
    this.#probeSentAtMs = undefined;
    this.#clockOffsetMs = undefined;
    this.#downSinceMs ??= performance.now();
  }

  /** What the old connection still owes is given up. */
  #reconnect(): void {
    this.#fail("the connection is dead");
    this.#probeSentAtMs = undefined;
    this.#redis.disconnect(true);
  }
}
