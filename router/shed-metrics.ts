/** What the router counts of votes that it refuses or sends again for its shards' sake, and how each shard stands. */
import { Counter, Gauge } from "prom-client";
import type { Registry } from "#mesh/metrics.ts";
import type { BreakerState } from "./shard-breaker.ts";
import type { ShedCause } from "./shard-door.ts";
import type { ShardLink } from "./shard-link.ts";

/** `router`: it is full. `unread`: so is it, and the call counts as one, whatever it held. The others are of a vote's shard. */
export type RefusalCause = ShedCause | "router" | "unread";

/** Why a vote is sent again. */
export type ResendCause = "wrong_shard" | "unknown" | "broken_stream";

const stateNumbers: Readonly<Record<BreakerState, number>> = { closed: 0, "half-open": 1, open: 2 };

export class ShedMetrics {
  readonly #shed = new Map<RefusalCause, number>();
  readonly #resent = new Map<ResendCause, number>();
  #gaveUp = 0;

  constructor(registry: Registry) {
    const registers = [registry];
    const byCause = (name: string, help: string, counts: ReadonlyMap<string, number>) =>
      new Counter({
        name,
        help,
        labelNames: ["cause"],
        registers,
        collect() {
          this.reset();
          for (const [cause, votes] of counts) this.inc({ cause }, votes);
        },
      });
    byCause(
      "urna_router_shed_votes_total",
      "Votes that were not let in, by cause: router (it is full), unread (likewise; whole calls), share, queue_time, stuck, breaker (of their shard)",
      this.#shed,
    );
    byCause(
      "urna_router_resent_votes_total",
      "Votes sent again to a shard, by cause: wrong_shard, unknown, broken_stream",
      this.#resent,
    );
    const gaveUp = () => this.#gaveUp;
    new Counter({
      name: "urna_router_given_up_votes_total",
      help: "Votes that were sent as often as a vote may be, and answered with what was known",
      registers,
      collect() {
        this.reset();
        this.inc(gaveUp());
      },
    });
  }

  /** Called once, when the links exist. */
  watch(registry: Registry, links: () => readonly ShardLink[]): void {
    const ofShards = (name: string, help: string, read: (link: ShardLink) => number) =>
      new Gauge({
        name,
        help,
        labelNames: ["shard"],
        registers: [registry],
        collect() {
          this.reset();
          for (const link of links()) this.set({ shard: String(link.shardId) }, read(link));
        },
      });
    ofShards(
      "urna_router_shard_breaker_state",
      "0: in service; 2: taken out, its votes are refused at once; 1: being tried",
      ({ door }) => stateNumbers[door.state],
    );
    ofShards(
      "urna_router_shard_oldest_waiting_seconds",
      "How long the oldest vote that is not yet on its way to the shard has waited",
      ({ oldestWaitingMs }) => oldestWaitingMs / 1_000,
    );
    ofShards("urna_router_shard_held_votes", "Votes of the shard that wait or are on their way", ({ held }) => held);
  }

  shed(cause: RefusalCause): void {
    this.#shed.set(cause, (this.#shed.get(cause) ?? 0) + 1);
  }

  resent(cause: ResendCause, votes: number): void {
    if (votes > 0) this.#resent.set(cause, (this.#resent.get(cause) ?? 0) + votes);
  }

  gaveUp(votes: number): void {
    this.#gaveUp += votes;
  }
}
