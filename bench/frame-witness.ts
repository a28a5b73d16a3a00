/**
 * Watches an election's tally as a reader would, and keeps what must never happen between frames (I7): a count that
 * falls, more ballots than were sent, a cut shown twice with different counts.
 */
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import type { WatchTallyResponse } from "#proto/generated/urna/v1/tally_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";

/** "region what" → count, and what they are a count of. */
type Seen = { readonly vector: ReadonlyMap<number, bigint>; readonly counts: ReadonlyMap<string, bigint> };

/** The rule for one election, frame by frame. */
export class FrameRule {
  readonly #sent: () => number;
  readonly #faults: string[] = [];
  #last: Seen | undefined;
  #frames = 0;
  #dropped = 0;

  /** `sent`: how many votes of the election have been sent so far, by anybody. */
  constructor(sent: () => number) {
    this.#sent = sent;
  }

  /** What was wrong, in words. */
  get faults(): readonly string[] {
    return this.#faults;
  }

  get frames(): number {
    return this.#frames;
  }

  /** Frames whose vector was behind what had been seen: a reader drops them. */
  get dropped(): number {
    return this.#dropped;
  }

  see(frame: WatchTallyResponse): void {
    const seen = seenOf(frame);
    const name = `frame ${frame.cut?.frame?.incarnation}/${frame.cut?.frame?.number}`;
    if (this.#last !== undefined && isBehind(seen, this.#last)) {
      this.#dropped++;
      return;
    }
    this.#frames++;
    const ballots = Number(seen.counts.get(" ballots") ?? 0n);
    const sent = this.#sent();
    if (ballots > sent) this.#faults.push(`${name}: ${ballots} ballots, and only ${sent} votes were sent`);
    if (this.#last !== undefined) this.#compare(name, this.#last, seen);
    this.#last = seen;
  }

  #compare(name: string, before: Seen, now: Seen): void {
    const sameCut = sameVector(before, now);
    for (const [what, count] of before.counts) {
      const next = now.counts.get(what) ?? 0n;
      if (next < count) this.#faults.push(`${name}: ${what} fell from ${count} to ${next}`);
      else if (sameCut && next !== count)
        this.#faults.push(`${name}: ${what} is ${next}, and was ${count} at the same cut`);
    }
  }
}

/** Applies a FrameRule to what a router passes on, through every restart, until it is stopped. */
export class FrameWitness {
  readonly rule: FrameRule;
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;

  constructor(routers: readonly string[], electionId: string, sent: () => number, identity?: Identity) {
    this.rule = new FrameRule(sent);
    this.#watching = this.#watch(routers, electionId, identity);
  }

  async stop(): Promise<FrameRule> {
    this.#stop.abort();
    await this.#watching;
    return this.rule;
  }

  async #watch(routers: readonly string[], electionId: string, identity: Identity | undefined): Promise<void> {
    const { signal } = this.#stop;
    for (let turn = 0; !signal.aborted; turn++) {
      const client = createClient(TallyService, routers[turn % routers.length] ?? "", identity);
      try {
        for await (const frame of client.watchTally({ electionId }, { signal })) this.rule.see(frame);
      } catch {
        // The router or the tally is away; the next turn asks another one.
      } finally {
        client.close();
      }
      await delay(100, undefined, { signal }).catch(() => undefined);
    }
  }
}

function seenOf({ cut, region, children }: WatchTallyResponse): Seen {
  const counts = new Map<string, bigint>();
  for (const { regionId, ballots, contests } of region === undefined ? children : [region, ...children]) {
    counts.set(`${regionId} ballots`, ballots);
    for (const { contestId, options, undervotes } of contests) {
      counts.set(`${regionId} ${contestId} undervotes`, undervotes);
      for (const { optionId, count } of options) counts.set(`${regionId} ${contestId} ${optionId}`, count);
    }
  }
  return { vector: new Map(cut?.vector.map(({ shardId, batch }) => [shardId, batch])), counts };
}

/** A shard that has been read is lacking, or stands at an earlier batch. */
function isBehind(seen: Seen, last: Seen): boolean {
  return [...last.vector].some(([shard, batch]) => (seen.vector.get(shard) ?? -1n) < batch);
}

function sameVector(a: Seen, b: Seen): boolean {
  return a.vector.size === b.vector.size && [...a.vector].every(([shard, batch]) => b.vector.get(shard) === batch);
}
