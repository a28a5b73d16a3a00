/**
 * Gives Redis the answers that routers want, so that they need not ask: twice a second, of the newest frame, exactly what
 * the tally would answer. What is wanted are the channels that somebody listens on, which Redis knows: a router that is gone
 * wants nothing. Nothing waits for Redis: while it is behind, beats are skipped, and the next one tells the latest.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { toBinary } from "@bufbuild/protobuf";
import type { Logger } from "#mesh/log.ts";
import type { RedisLink } from "#mesh/redis-link.ts";
import { GetTallyTableResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import type { TallyView } from "#proto/published-tally.ts";
import {
  packPublished,
  publishEveryMs,
  publishedForMs,
  publishLargeEveryMs,
  type ViewNames,
} from "#proto/published-tally.ts";
import type { Frame } from "./frame.ts";
import { tableRows } from "./table-rows.ts";

export type PublisherLimits = {
  /** Views that are published; the others are omitted, and routers ask. */
  readonly viewsMax: number;
  /** Answers and their bytes on their way to Redis at a time; one more answer may come on top. */
  readonly batchViews: number;
  readonly batchBytes: number;
  /** An answer of so many bytes is told half as often. */
  readonly largeBytes: number;
  /** Regions of a table that are encoded in one turn. */
  readonly tableRegionsMax: number;
};

export type PublisherParts = {
  readonly link: RedisLink;
  readonly names: ViewNames;
  readonly limits: PublisherLimits;
  readonly log: Logger;
  /** A beat has told all that it had to tell, after so many milliseconds. */
  readonly beatEnded: (tookMs: number) => void;
};

/** What became of an answer: too large, omitted because too many are wanted, or what Redis did with it. */
export type PublishOutcome = "published" | "refused" | "unanswered" | "too_large" | "omitted";

type Told = { readonly atMs: number; readonly bytes: number };
type Wanted = { readonly name: string; readonly view: TallyView };
type Packed = { readonly name: string; readonly bytes: Buffer };

export class ViewPublisher {
  readonly outcomes = new Map<PublishOutcome, number>();
  /** Beats at which the one before had not ended, or Redis did not answer. */
  skippedBeats = 0;
  readonly #parts: PublisherParts;
  readonly #told = new Map<string, Told>();
  #wantedViews = 0;
  #lastBeatAtMs = Number.NEGATIVE_INFINITY;
  #busy = false;
  #refusal: { readonly why: string; readonly sinceMs: number } | undefined;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /** Views that somebody listens for. */
  get wantedViews(): number {
    return this.#parts.link.answers ? this.#wantedViews : 0;
  }

  get redisAnswers(): boolean {
    return this.#parts.link.answers;
  }

  /** "" while all is well; else a sentence for an operator. */
  trouble(): string {
    const silence = this.#parts.link.trouble();
    if (silence !== "") return `${silence}; routers ask the tally`;
    if (this.#refusal === undefined) return "";
    const { why, sinceMs } = this.#refusal;
    const seconds = Math.round((performance.now() - sinceMs) / 1_000);
    return `Redis does not keep what the tally publishes since ${seconds} s (${why}); routers may have to ask the tally`;
  }

  /** To be called often. Never waits, never throws. */
  tick(nowMs: number, frame: Frame): void {
    if (nowMs - this.#lastBeatAtMs < publishEveryMs) return;
    this.#lastBeatAtMs = nowMs;
    if (this.#busy || !this.#parts.link.answers) {
      this.skippedBeats += 1;
      return;
    }
    this.#busy = true;
    void this.#beat(nowMs, frame).finally(() => {
      this.#busy = false;
    });
  }

  close(): void {
    this.#parts.link.close();
  }

  async #beat(nowMs: number, frame: Frame): Promise<void> {
    const wanted = await this.#wanted();
    if (wanted === undefined) return;
    let batch: Packed[] = [];
    let bytes = 0;
    for (const { name, view } of wanted) {
      if (!this.#isDue(name, nowMs)) continue;
      const packed = await this.#pack(view, frame);
      if (packed === undefined) continue;
      this.#told.set(name, { atMs: nowMs, bytes: packed.length });
      batch.push({ name, bytes: packed });
      bytes += packed.length;
      if (batch.length < this.#parts.limits.batchViews && bytes < this.#parts.limits.batchBytes) continue;
      if (!(await this.#send(batch))) return;
      batch = [];
      bytes = 0;
    }
    if (batch.length > 0 && !(await this.#send(batch))) return;
    this.#parts.beatEnded(performance.now() - nowMs);
  }

  /** What routers listen for; undefined when Redis does not say. */
  async #wanted(): Promise<Wanted[] | undefined> {
    const { link, names, limits } = this.#parts;
    const asked = await link.ask(async (redis) => (await redis.pubsub("CHANNELS", names.pattern)) as string[]);
    if (asked.kind === "refused") this.#refuse(asked.why);
    if (asked.kind !== "answered") return undefined;
    const listened = new Set(asked.value);
    for (const name of this.#told.keys()) if (!listened.has(name)) this.#told.delete(name);
    this.#wantedViews = listened.size;
    const wanted = [...listened].flatMap((name) => {
      const view = names.viewOf(name);
      return view === undefined ? [] : [{ name, view }];
    });
    if (wanted.length > limits.viewsMax) this.#count("omitted", wanted.length - limits.viewsMax);
    return wanted.slice(0, limits.viewsMax);
  }

  #isDue(name: string, nowMs: number): boolean {
    const told = this.#told.get(name);
    return told === undefined || told.bytes < this.#parts.limits.largeBytes || nowMs - told.atMs >= publishLargeEveryMs;
  }

  /** Undefined for what the tally would refuse to answer, and for what is too large. */
  async #pack(view: TallyView, frame: Frame): Promise<Buffer | undefined> {
    if (!canAnswer(view, frame)) return undefined;
    const answers =
      view.kind === "region"
        ? [frame.encodedTally(view.electionId, view.regionId).bytes]
        : await this.#table(view, frame);
    const publishedAtMs = this.#parts.link.redisNowMs;
    if (publishedAtMs === undefined) return undefined;
    const { incarnation, number } = frame.content;
    const cut = { frame: { incarnation, number }, vector: frame.vector };
    const packed = await packPublished(view, { cut, publishedAtMs, answers });
    if (packed !== undefined) return Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
    this.#count("too_large", 1);
    return undefined;
  }

  async #table({ electionId }: TallyView, frame: Frame): Promise<Uint8Array[]> {
    const { tableRegionsMax } = this.#parts.limits;
    const leafCount = frame.election(electionId).shape.leaves.length;
    const parts: Uint8Array[] = [];
    for (let first = 0; first < leafCount; first += tableRegionsMax) {
      // Ticks come first.
      if (first > 0) await nextTurn();
      parts.push(toBinary(GetTallyTableResponseSchema, tableRows(frame, electionId, first, tableRegionsMax)));
    }
    return parts;
  }

  /** Whether Redis answered. An answer that it does not keep may have been told all the same. */
  async #send(batch: readonly Packed[]): Promise<boolean> {
    const sent = await this.#parts.link.ask(async (redis) => {
      const pipeline = redis.pipeline();
      for (const { name, bytes } of batch) {
        pipeline.set(name, bytes, "PX", publishedForMs);
        pipeline.publish(name, bytes);
      }
      const results = (await pipeline.exec()) ?? [];
      const failure = results.find(([error]) => error !== null)?.[0];
      if (failure) throw failure;
    });
    switch (sent.kind) {
      case "answered":
        if (this.#refusal !== undefined) this.#parts.log.info("Redis keeps what is published again");
        this.#refusal = undefined;
        this.#count("published", batch.length);
        return true;
      case "refused":
        this.#refuse(sent.why);
        this.#count("refused", batch.length);
        return true;
      case "silent":
        this.#count("unanswered", batch.length);
        this.#told.clear();
        return false;
    }
  }

  #refuse(why: string): void {
    if (this.#refusal === undefined) this.#parts.log.warn({ why }, "Redis does not keep what is published");
    this.#refusal = { why, sinceMs: this.#refusal?.sinceMs ?? performance.now() };
  }

  #count(outcome: PublishOutcome, views: number): void {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + views);
  }
}

/** Somebody may listen for what does not exist. */
function canAnswer(view: TallyView, frame: Frame): boolean {
  if (!frame.has(view.electionId)) return false;
  return view.kind === "table" || frame.election(view.electionId).regions.has(view.regionId);
}
