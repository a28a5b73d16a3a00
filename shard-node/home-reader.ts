/** Reads elections from the shards that are their homes. */
import { toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Directory, ShardEntry } from "#mesh/directory.ts";
import { type Client, createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import { ElectionDefinitionSchema } from "#proto/generated/urna/v1/election_pb.js";
import type { ElectionRecord } from "#proto/generated/urna/v1/shard_service_pb.js";
import { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { homeSlotSource, slotOf } from "#proto/slots.ts";
import type { HomeRecord } from "./election-book.ts";

const callLimitMs = 2_000;

export class HomeReader {
  readonly #directory: Directory;
  readonly #identity: Identity | undefined;
  readonly #clients = new Map<string, Client<typeof ShardService>>();

  constructor(directory: Directory, identity: Identity | undefined) {
    this.#directory = directory;
    this.#identity = identity;
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  get shards(): readonly ShardEntry[] {
    return this.#directory.current.map.shards;
  }

  /** The shard that owns the slot of the election's id. */
  homeOf(electionId: string): ShardEntry {
    const slot = slotOf(homeSlotSource(electionId));
    const home = this.shards.find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last));
    if (home === undefined) throw new Error(`the shard map has no owner for slot ${slot}`);
    return home;
  }

  /** Hashes and wanted states only. */
  async list(shard: ShardEntry): Promise<readonly ElectionRecord[]> {
    return await this.#ask(shard, { withoutDefinitions: true });
  }

  /** One election, whole. Throws RejectionError UNKNOWN_ELECTION when its home does not have it. */
  async read(shard: ShardEntry, electionId: string): Promise<HomeRecord> {
    const [record] = await this.#ask(shard, { electionId });
    if (record?.definition === undefined) {
      throw new RejectionError("UNKNOWN_ELECTION", `no election has the id "${electionId}"`);
    }
    return {
      electionId,
      definition: Buffer.from(toBinary(ElectionDefinitionSchema, record.definition, { writeUnknownFields: false })),
      definitionHash: Buffer.from(record.definitionHash),
      wrappedKey: Buffer.from(record.wrappedKey),
      wantedState: record.wantedState,
      createdAtMs: record.createdAt === undefined ? 0 : timestampMs(record.createdAt),
      requestedBy: record.requestedBy,
    };
  }

  /** Any node of the shard may be its writer; the others refuse. */
  async #ask(
    shard: ShardEntry,
    request: { electionId?: string; withoutDefinitions?: boolean },
  ): Promise<readonly ElectionRecord[]> {
    let last: unknown = new RejectionError("SHARD_UNAVAILABLE", `shard ${shard.shardId} has no nodes`);
    for (const address of shard.nodes) {
      try {
        return (await this.#client(address).listHomeElections(request, { deadlineMs: callLimitMs })).records;
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }

  #client(address: string): Client<typeof ShardService> {
    let client = this.#clients.get(address);
    if (client === undefined) {
      client = createClient(ShardService, address, this.#identity);
      this.#clients.set(address, client);
    }
    return client;
  }
}
