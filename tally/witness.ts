/** The highest checkpoints of all shards, in memory and in the file that outlives the process. */
import type { Logger } from "#mesh/log.ts";
import type { Clock } from "./shard-reading.ts";
import { ShardWitness, type WitnessTimes } from "./shard-witness.ts";
import { WitnessFile } from "./witness-file.ts";
import type { WitnessRecord } from "./witness-record.ts";

export type WitnessParts = {
  readonly stateFolder: string;
  /** Whose checkpoints are believed. */
  readonly deployment: string;
  readonly clock: Clock;
  readonly times: WitnessTimes & {
    /** Milliseconds between two writes of the file. */
    readonly fileEveryMs: number;
  };
  readonly log: Logger;
};

export class Witness {
  readonly #parts: WitnessParts;
  readonly #file: WitnessFile;
  readonly #shards = new Map<number, ShardWitness>();
  readonly #stopping = new AbortController();
  #changes = 0;
  #changesWritten = 0;
  #writing: Promise<void> | undefined;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #complaint = "";

  private constructor(parts: WitnessParts, file: WitnessFile) {
    this.#parts = parts;
    this.#file = file;
  }

  /** Throws when the folder cannot be used. What the file holds and nobody can read is set aside, and said loudly. */
  static async open(parts: WitnessParts): Promise<Witness> {
    const file = await WitnessFile.open(parts.stateFolder, parts.log);
    const witness = new Witness(parts, file);
    for (const [shardId, record] of await file.read(parts.deployment)) witness.#add(shardId, record);
    return witness;
  }

  get shards(): ReadonlyMap<number, ShardWitness> {
    return this.#shards;
  }

  /** Of all shards, in their order: sentences for people. */
  get findings(): string[] {
    return [...this.#shards].sort(([a], [b]) => a - b).flatMap(([, shard]) => shard.findings);
  }

  ofShard(shardId: number): ShardWitness {
    return this.#shards.get(shardId) ?? this.#add(shardId, undefined);
  }

  /** The signed note; undefined when none was ever seen. */
  highest(shardId: number): Buffer | undefined {
    return this.#shards.get(shardId)?.record?.highest.note;
  }

  /** To be called often: writes the file when it has changed and the last write was not just now. */
  tick(): void {
    const { clock, times } = this.#parts;
    const isDue = clock.monotonicMs() - this.#writtenAtMs >= times.fileEveryMs;
    if (isDue && this.#changesWritten < this.#changes) void this.#write();
  }

  /** Resolves once all that was seen is in the file. */
  async close(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([...this.#shards.values()].map((shard) => shard.settled()));
    await this.#writing;
    if (this.#changesWritten < this.#changes) await this.#write();
  }

  #add(shardId: number, record: WitnessRecord | undefined): ShardWitness {
    const { deployment, clock, times, log } = this.#parts;
    const shard = new ShardWitness({
      ledger: { deployment, shardId },
      record,
      clock,
      times,
      log: log.child({ shard: shardId }),
      signal: this.#stopping.signal,
      changed: () => {
        this.#changes += 1;
      },
    });
    this.#shards.set(shardId, shard);
    return shard;
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writeNow().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  /** A full disk must not stop the counting: the next tick tries again. */
  async #writeNow(): Promise<void> {
    const changes = this.#changes;
    this.#writtenAtMs = this.#parts.clock.monotonicMs();
    const records = [...this.#shards].flatMap(([shardId, { record }]) =>
      record === undefined ? [] : [[shardId, record] as const],
    );
    try {
      await this.#file.write(records);
      this.#changesWritten = changes;
      this.#complaint = "";
    } catch (error) {
      const complaint = String(error);
      if (complaint !== this.#complaint) {
        this.#parts.log.error({ err: error }, "the highest checkpoints could not be written to their file");
      }
      this.#complaint = complaint;
    }
  }
}
