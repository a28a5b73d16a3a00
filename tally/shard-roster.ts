/** The shards that the directory names, each with its follower and how far it has been read. */
import type { DirectoryView } from "#mesh/directory.ts";
import type { Identity } from "#mesh/identity.ts";
import type { Logger } from "#mesh/log.ts";
import type { CountBook } from "./count-book.ts";
import type { ElectionDefinitions } from "./election-definitions.ts";
import type { FollowerTimes } from "./shard-follower.ts";
import { ShardFollower } from "./shard-follower.ts";
import { ShardPeers } from "./shard-peers.ts";
import type { Clock } from "./shard-reading.ts";
import { ShardReading } from "./shard-reading.ts";
import type { Witness } from "./witness.ts";

export type RosterParts = {
  readonly book: CountBook;
  readonly definitions: ElectionDefinitions;
  readonly witness: Witness;
  readonly clock: Clock;
  readonly times: FollowerTimes;
  readonly identity: Identity | undefined;
  readonly log: Logger;
  /** Called when folding failed by a fault of our own: the book must not be trusted any more. */
  fail(cause: unknown): void;
  /** Called when the book holds counts of a log that has ended. */
  startAnew(reason: string): void;
};

export class ShardRoster {
  readonly peers: ShardPeers;
  readonly #parts: RosterParts;
  readonly #nodes = new Map<number, readonly string[]>();
  readonly #readings = new Map<number, ShardReading>();
  readonly #followers = new Map<number, ShardFollower>();
  readonly #runs: Promise<void>[] = [];
  readonly #stopping = new AbortController();

  constructor(parts: RosterParts) {
    this.#parts = parts;
    this.peers = new ShardPeers((shardId) => this.#nodes.get(shardId) ?? [], parts.identity);
  }

  get readings(): ReadonlyMap<number, ShardReading> {
    return this.#readings;
  }

  get followers(): ReadonlyMap<number, ShardFollower> {
    return this.#followers;
  }

  /** Follows shards that are new. One that is gone from the view keeps its counts (I7), and is missing. */
  update({ map }: DirectoryView): void {
    this.#nodes.clear();
    for (const { shardId, nodes } of map.shards) this.#nodes.set(shardId, nodes);
    this.peers.keepOnly(new Set(map.shards.flatMap(({ nodes }) => nodes)));
    for (const { shardId } of map.shards) if (!this.#followers.has(shardId)) this.#follow(shardId);
  }

  /** Ends all streams. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#runs);
    this.peers.close();
  }

  #follow(shardId: number): void {
    const { fail, ...parts } = this.#parts;
    parts.book.expectShard(shardId);
    const reading = new ShardReading(parts.clock, parts.times.silenceMs);
    const witness = parts.witness.ofShard(shardId);
    const follower = new ShardFollower({ ...parts, shardId, peers: this.peers, reading, witness });
    this.#readings.set(shardId, reading);
    this.#followers.set(shardId, follower);
    this.#runs.push(follower.run(this.#stopping.signal).catch(fail));
  }
}
