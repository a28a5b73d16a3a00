/** The shard map as it stands in Consul's KV, for programs and people; and what each shard claims, of which it is made. */
import { JsonReader } from "#mesh/json-reader.ts";
import type { ShardClaim } from "#mesh/shard-map-publisher.ts";
import type { SlotRange } from "#proto/slots.ts";
import { slotTable } from "#proto/slots.ts";

export const mapKey = "urna/map";
export const historyPrefix = "urna/map-history/";
export const claimsPrefix = "urna/claims/";

export type MapDocument = {
  readonly deployment: string;
  readonly epoch: number;
  /** By id. */
  readonly shards: readonly { readonly shardId: number; readonly slots: readonly SlotRange[] }[];
};

const schemaVersion = 1;
const mapReader: JsonReader = new JsonReader("shard map");
const claimReader: JsonReader = new JsonReader("shard claim");

/** Throws an Error that names the field. */
export function parseMap(text: string): MapDocument {
  const root = mapReader.record(mapReader.parse(text), "the document");
  mapReader.demand(root["schema_version"] === schemaVersion, `schema_version must be ${schemaVersion}`);
  const shards = mapReader.list(root["shards"], "shards").map((value, i) => {
    const shard = mapReader.record(value, `shards[${i}]`);
    return {
      shardId: mapReader.shardId(shard["id"], `shards[${i}].id`),
      slots: mapReader.slots(shard["slots"], `shards[${i}].slots`),
    };
  });
  mapReader.demand(new Set(shards.map(({ shardId }) => shardId)).size === shards.length, "a shard is named twice");
  slotTable(shards);
  return {
    deployment: mapReader.text(root["deployment"], "deployment"),
    epoch: mapReader.integer(root["epoch"], "epoch"),
    shards: shards.sort((a, b) => a.shardId - b.shardId),
  };
}

export function mapText({ deployment, epoch, shards }: MapDocument): string {
  const entries = shards.map(({ shardId, slots }) => `    ${JSON.stringify({ id: shardId, slots })}`).join(",\n");
  const head = JSON.stringify({ schema_version: schemaVersion, deployment, epoch }, undefined, 2).slice(0, -2);
  return `${head},\n  "shards": [\n${entries}\n  ]\n}\n`;
}

/** Whether both give every slot to the same shard. */
export function sameSlots(a: Pick<MapDocument, "shards">, b: Pick<MapDocument, "shards">): boolean {
  return Buffer.from(slotTable(a.shards).buffer).equals(Buffer.from(slotTable(b.shards).buffer));
}

/** Throws an Error that names the field. */
export function parseClaim(text: string): ShardClaim {
  const root = claimReader.record(claimReader.parse(text), "the document");
  claimReader.demand(root["schema_version"] === schemaVersion, `schema_version must be ${schemaVersion}`);
  return {
    deployment: claimReader.text(root["deployment"], "deployment"),
    shardId: claimReader.shardId(root["shard"], "shard"),
    shardCount: claimReader.integer(root["shard_count"], "shard_count"),
    mapEpoch: claimReader.integer(root["map_epoch"], "map_epoch"),
    writerEpoch: claimReader.integer(root["writer_epoch"], "writer_epoch"),
    slots: claimReader.slots(root["slots"], "slots"),
  };
}

export function claimText(claim: ShardClaim): string {
  return `${JSON.stringify({
    schema_version: schemaVersion,
    deployment: claim.deployment,
    shard: claim.shardId,
    shard_count: claim.shardCount,
    map_epoch: claim.mapEpoch,
    writer_epoch: claim.writerEpoch,
    slots: claim.slots,
  })}\n`;
}

/** The map that all shards' claims make, or why they make none yet. */
export function composeMap(claims: readonly ShardClaim[], own: ShardClaim): MapDocument | string {
  const { deployment, mapEpoch, shardCount } = own;
  const ours = claims.filter((claim) => claim.deployment === deployment && claim.shardId < shardCount);
  const missing = Array.from({ length: shardCount }, (_, id) => id).filter(
    (id) => !ours.some(({ shardId }) => shardId === id),
  );
  if (missing.length > 0) return `no claim of shard ${missing.slice(0, 10).join(", ")} yet`;
  const other = ours.find((claim) => claim.mapEpoch !== mapEpoch);
  if (other !== undefined) return `shard ${other.shardId} is at epoch ${other.mapEpoch}, this one at ${mapEpoch}`;
  const shards = ours.map(({ shardId, slots }) => ({ shardId, slots })).sort((a, b) => a.shardId - b.shardId);
  try {
    slotTable(shards);
  } catch (error) {
    return (error as Error).message;
  }
  return { deployment, epoch: mapEpoch, shards };
}
