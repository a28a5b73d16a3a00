/**
 * Brings this shard's copies of all elections to what their homes want, whoever died meanwhile: every second for all of
 * them, and at once for the one that a router asks for.
 */
import type { ShardEntry } from "#mesh/directory.ts";
import type { Logger } from "#mesh/log.ts";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { copySteps } from "./control-steps.ts";
import type { ElectionEntry, HomeRecord } from "./election-book.ts";
import type { HomeReader } from "./home-reader.ts";
import type { ShardNode } from "./node.ts";
import type { Writer } from "./writer.ts";

export class Reconciler {
  readonly #shardId: number;
  readonly #node: ShardNode;
  readonly #homes: HomeReader;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(shardId: number, node: ShardNode, homes: HomeReader, log: Logger) {
    this.#shardId = shardId;
    this.#node = node;
    this.#homes = homes;
    this.#log = log;
  }

  start(everyMs: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#round().finally(() => this.start(everyMs)), everyMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Where the election stands on this shard once it is what its home wants. */
  async reconcile(electionId: string): Promise<ElectionEntry> {
    const { writer } = this.#node.requireWriter();
    await this.#copy(writer, await this.#homeRecord(writer, electionId));
    const entry = writer.book.entry(electionId);
    if (entry === undefined) throw new RejectionError("SHARD_UNAVAILABLE", "the election is not on this shard yet");
    return entry;
  }

  async #homeRecord(writer: Writer, electionId: string): Promise<HomeRecord> {
    const home = this.#homes.homeOf(electionId);
    if (home.shardId !== this.#shardId) return await this.#homes.read(home, electionId);
    const record = writer.book.home(electionId);
    if (record === undefined) throw new RejectionError("UNKNOWN_ELECTION", `no election has the id "${electionId}"`);
    return record;
  }

  async #copy(writer: Writer, record: HomeRecord): Promise<void> {
    await writer.control((book) => copySteps(book, record));
  }

  /** One look at every shard, all at once: one that cannot be asked must not keep the others' elections waiting. */
  async #round(): Promise<void> {
    if (this.#node.state.kind !== "writing") return;
    const { writer } = this.#node.state;
    await Promise.all(
      this.#homes.shards.map((shard) =>
        this.#attempt({ shard: shard.shardId }, () =>
          shard.shardId === this.#shardId ? this.#copyOwn(writer) : this.#copyFrom(writer, shard),
        ),
      ),
    );
  }

  async #copyOwn(writer: Writer): Promise<void> {
    for (const record of [...writer.book.homes()]) {
      if (!isBehind(writer, record)) continue;
      await this.#attempt({ election: record.electionId }, () => this.#copy(writer, record));
    }
  }

  async #copyFrom(writer: Writer, shard: ShardEntry): Promise<void> {
    for (const listed of await this.#homes.list(shard)) {
      const { electionId } = listed;
      if (!isBehind(writer, { electionId, wantedState: listed.wantedState })) continue;
      await this.#attempt({ election: electionId }, async () =>
        this.#copy(writer, await this.#homes.read(shard, electionId)),
      );
    }
  }

  /** What fails is tried again in the next round, and keeps nothing else from being done. */
  async #attempt(what: Readonly<Record<string, unknown>>, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const lasting = error instanceof RejectionError && error.reason !== "SHARD_UNAVAILABLE";
      this.#log[lasting ? "warn" : "debug"]({ ...what, err: error }, "elections could not be copied; trying again");
    }
  }
}

function isBehind(writer: Writer, wanted: Pick<HomeRecord, "electionId" | "wantedState">): boolean {
  const state = writer.book.entry(wanted.electionId)?.state ?? ElectionState.UNSPECIFIED;
  return state < wanted.wantedState;
}
