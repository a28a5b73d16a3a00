/**
 * `npm run bench:start`: how long a shard node takes from its start to serving when its log has 100 million leaves. The tables
 * are filled with a tree of that size in SQL: full tiles with their roots (their hashes left out, which no start reads), the
 * newest batch, the head. Prints the median seconds of five starts, and the same for an empty log: both hold the three seconds
 * of silence that a node waits for before it takes over, and the start of the process.
 */
import { ShardRig } from "#bench/shard-rig.ts";
import { hashBytes } from "#proto/ledger/merkle-hash.ts";
import { partialWidth, tileLevelsMax, tileWidth } from "#proto/ledger/tiles.ts";
import { TreeFrontier } from "#proto/ledger/tree-frontier.ts";

const leaves = 100_000_123;
const starts = 5;

await using rig = await ShardRig.start();
const node = rig.node("a");
const empty = await medianOfStarts();
await node.kill("SIGTERM");
await fill();
const full = await medianOfStarts();
console.log(JSON.stringify({ leaves, seconds_to_serve: full, seconds_to_serve_of_an_empty_log: empty }));

async function medianOfStarts(): Promise<number> {
  const seconds: number[] = [];
  for (let i = 0; i < starts; i++) seconds.push(await startSeconds());
  return seconds.sort((a, b) => a - b)[Math.floor(starts / 2)] ?? Number.NaN;
}

async function startSeconds(): Promise<number> {
  await node.kill("SIGTERM");
  const startedMs = performance.now();
  await node.start();
  await node.untilServing();
  return Math.round(performance.now() - startedMs) / 1_000;
}

async function fill(): Promise<void> {
  for (let level = 0; tileWidth ** (level + 1) <= leaves; level++) {
    await rig.sql(
      `INSERT INTO urna.tiles SELECT $1::int2, i, sha256(convert_to($1::text || ' ' || i, 'UTF8')), ''
       FROM generate_series(0, $2::int8 - 1) AS i`,
      [level, Math.floor(leaves / tileWidth ** (level + 1))],
    );
  }
  const tail = Buffer.alloc((leaves % tileWidth) * hashBytes, 7);
  const tree = TreeFrontier.restore(leaves, [tail, ...(await upperLevels())]);
  await rig.sql(
    `INSERT INTO urna.batches (number, batch_id, writer_epoch, stamp, votes, tree_size, root, leaf_nullifiers, tail_hashes)
     SELECT batch_number + 1, gen_random_uuid(), writer_epoch, now(), $1, $2, $3, '', $4 FROM urna.head`,
    [leaves % tileWidth, leaves, tree.root, tail],
  );
  await rig.sql("UPDATE urna.head SET batch_number = batch_number + 1, tree_size = $1", [leaves]);
  await rig.sql("ANALYZE urna.tiles");
}

/** The hashes of each partial tile above the leaves, which are roots of full ones below. */
async function upperLevels(): Promise<Buffer[]> {
  const levels: Buffer[] = [];
  for (let level = 1; level < tileLevelsMax; level++) {
    const first = Math.floor(leaves / tileWidth ** (level + 1)) * tileWidth;
    const rows = await rig.sql<{ root: Buffer }>(
      "SELECT root FROM urna.tiles WHERE level = $1 AND tile_index >= $2 ORDER BY tile_index LIMIT $3",
      [level - 1, first, partialWidth(leaves, level)],
    );
    levels.push(Buffer.concat(rows.map(({ root }) => root)));
  }
  return levels;
}
