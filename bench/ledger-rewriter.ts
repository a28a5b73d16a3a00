/**
 * The forger of the tamper tests: makes the ledger of one shard anew from its rows, so that the database is coherent again after
 * any change of rows: leaf numbers, leaf hashes, tiles, roots, counts, head. It is what somebody with all rights to the database
 * can do, and what only a signature from before can show.
 */
import { fromBinary } from "@bufbuild/protobuf";
import type pg from "pg";
import { ballotCounts, type ElectionShape, electionShape } from "#proto/election-shape.ts";
import { ElectionDefinitionSchema } from "#proto/generated/urna/v1/election_pb.js";
import { ballotCommitment, encodeLeafEntry } from "#proto/ledger/leaf-entry.ts";
import { hashBytes, leafHash } from "#proto/ledger/merkle-hash.ts";
import { partialWidth } from "#proto/ledger/tiles.ts";
import { TreeFrontier } from "#proto/ledger/tree-frontier.ts";

type Row = {
  election: number;
  batch: number;
  nullifier: Buffer;
  key_hash: Buffer;
  nonce: Buffer;
  region: number;
  ballot: Buffer;
};

type Batch = { number: number };

/** As the owner of the primary's database, while nobody writes. Answers the new root. */
export async function rewriteLedger(client: pg.Client): Promise<Buffer> {
  await client.query("BEGIN");
  const shapes = await readShapes(client);
  const rows = Map.groupBy(await readRows(client), ({ batch }) => batch);
  const tree = TreeFrontier.empty();
  await client.query("TRUNCATE urna.tiles, urna.count_snapshots");
  for (const { number } of (
    await client.query<Batch>("SELECT number::float8 AS number FROM urna.batches ORDER BY number")
  ).rows) {
    await rewriteBatch(client, tree, shapes, number, rows.get(number) ?? []);
  }
  await client.query("UPDATE urna.head SET tree_size = $1, batch_number = (SELECT max(number) FROM urna.batches)", [
    tree.size,
  ]);
  await client.query("COMMIT");
  return tree.root;
}

async function readShapes(client: pg.Client): Promise<ReadonlyMap<number, ElectionShape>> {
  const { rows } = await client.query<{ number: number; definition: Buffer }>(
    "SELECT number, definition FROM urna.elections",
  );
  return new Map(
    rows.map(({ number, definition }) => [number, electionShape(fromBinary(ElectionDefinitionSchema, definition))]),
  );
}

/** In the order that the leaves of a batch have. */
async function readRows(client: pg.Client): Promise<Row[]> {
  const { rows } = await client.query<Row>(
    `SELECT election_number AS election, batch_number::float8 AS batch, uuid_send(nullifier) AS nullifier,
            uuid_send(key_hash) AS key_hash, uuid_send(nonce) AS nonce, region, ballot
     FROM urna.votes ORDER BY batch_number, election_number, nullifier`,
  );
  return rows;
}

async function rewriteBatch(
  client: pg.Client,
  tree: TreeFrontier,
  shapes: ReadonlyMap<number, ElectionShape>,
  number: number,
  rows: readonly Row[],
): Promise<void> {
  const firstLeaf = tree.size;
  const leafHashes = Buffer.concat(rows.map((row) => hashOf(row, shapes)));
  for (const { level, index, root, hashes } of tree.append(leafHashes)) {
    await client.query("INSERT INTO urna.tiles VALUES ($1, $2, $3, $4)", [level, index, root, hashes]);
  }
  const tail = Math.min(rows.length, partialWidth(tree.size, 0));
  const counts = countsOf(rows, shapes);
  await client.query(
    `UPDATE urna.batches SET votes = $2, tree_size = $3, root = $4, leaf_nullifiers = $5, tail_hashes = $6,
       count_election = $7, count_region = $8, count_cell = $9, count_n = $10 WHERE number = $1`,
    [
      number,
      rows.length,
      tree.size,
      tree.root,
      Buffer.concat(rows.map(({ nullifier }) => nullifier)),
      leafHashes.subarray((rows.length - tail) * hashBytes),
      ...[0, 1, 2, 3].map((column) => counts.map((count) => count[column])),
    ],
  );
  await client.query(
    `UPDATE urna.votes v SET leaf_index = n.leaf FROM unnest($1::uuid[], $2::int[], $3::int8[]) AS n (nullifier, election, leaf)
     WHERE v.nullifier = n.nullifier AND v.election_number = n.election AND v.leaf_index <> n.leaf`,
    [
      rows.map(({ nullifier }) => nullifier.toString("hex")),
      rows.map(({ election }) => election),
      rows.map((_, i) => firstLeaf + i),
    ],
  );
}

function hashOf(row: Row, shapes: ReadonlyMap<number, ElectionShape>): Buffer {
  const shape = shapes.get(row.election);
  if (shape === undefined) throw new Error(`a row of election ${row.election}, which is not there`);
  return leafHash(
    encodeLeafEntry({
      electionId: shape.definition.electionId,
      definitionHash: shape.definitionHash,
      nullifier: row.nullifier,
      keyHash: row.key_hash,
      commitment: ballotCommitment(row.nonce, row.ballot, row.region),
    }),
  );
}

/** Election, region, cell and how many; each once. */
function countsOf(rows: readonly Row[], shapes: ReadonlyMap<number, ElectionShape>): number[][] {
  const sums = new Map<string, number>();
  for (const { election, region, ballot } of rows) {
    const shape = shapes.get(election) as ElectionShape;
    for (const [cell, n] of ballotCounts(shape, region, ballot)) {
      const key = `${election} ${region} ${cell}`;
      sums.set(key, (sums.get(key) ?? 0) + n);
    }
  }
  return [...sums].map(([key, n]) => [...key.split(" ").map(Number), n]);
}
