/** For tests: a log that was published, and what an administrator with all rights can take from it. */
import { expect } from "vitest";
import type { ShardRig } from "#bench/shard-rig.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { all, outcomesOf } from "./shared-rig.ts";

const limitMs = 10_000;

/** The writer's newest checkpoint, once it is over so many leaves. */
export async function checkpointOver(rig: ShardRig, leaves: number): Promise<Uint8Array> {
  const { client } = await rig.writer();
  return await waitFor(`a checkpoint over ${leaves} leaves`, limitMs, async () => {
    const { signedNote } = await client.getShardCheckpoint({});
    return Number(Buffer.from(signedNote).toString().split("\n")[1]) >= leaves ? signedNote : undefined;
  });
}

/** 600 votes in two batches, a checkpoint over them, and the node "a", which has published it, stopped. */
export async function publishThenStop(rig: ShardRig): Promise<void> {
  const election = await rig.open("e");
  for (let i = 0; i < 2; i++) expect(outcomesOf(await rig.cast(election.fresh(300)))).toEqual(all(300, "RECORDED"));
  await checkpointOver(rig, 600);
  await rig.node("a").kill("SIGTERM");
}

/** The log ends with the first batch of so many leaves. */
export async function cutOff(rig: ShardRig, leaves: number): Promise<void> {
  await rig.sql("DELETE FROM urna.votes WHERE leaf_index >= $1", [leaves]);
  await rig.sql("DELETE FROM urna.batches WHERE number > (SELECT min(number) FROM urna.batches WHERE tree_size = $1)", [
    leaves,
  ]);
  await rig.sql("DELETE FROM urna.tiles WHERE level = 0 AND (tile_index + 1) * 256 > $1", [leaves]);
  await rig.sql("UPDATE urna.head SET tree_size = $1, batch_number = (SELECT max(number) FROM urna.batches)", [leaves]);
}
