/** Everything that an audit does to one shard: sessions on its standby, the cut, the pass over its rows, and what frames them. */
import type pg from "pg";
import { tileWidth } from "#proto/ledger/tiles.ts";
import { AuditedElection } from "./audited-election.ts";
import type { DefinitionPool } from "./definition-pool.ts";
import type { FindingBook } from "./finding-book.ts";
import type { TallyTable } from "./outside-word.ts";
import { passOver, type Resume, type ShardPass } from "./shard-audit.ts";
import { awaitLogEnd, type ShardSketch, type ShardTarget } from "./shard-target.ts";
import type { ShardWitness } from "./shard-witness.ts";
import { withStandby } from "./standby-session.ts";
import { type LogEnd, readElections, readLogEnd, type StoredElection, sha256 } from "./stored-shard.ts";
import type { VoterIndex } from "./voter-index.ts";

export type ShardRunOptions = {
  readonly target: ShardTarget;
  readonly sketch: ShardSketch;
  readonly findings: FindingBook;
  readonly witness: ShardWitness | undefined;
  readonly pool: DefinitionPool;
  /** By election: what was remembered, and what is learned now. */
  readonly carriedHashes: Map<string, string>;
  readonly tallies: ReadonlyMap<string, TallyTable>;
  /** A number for each election, the same on all shards. */
  readonly electionKeyOf: (electionId: string) => number;
  readonly voters: VoterIndex | undefined;
  readonly resume: Resume | undefined;
  readonly tilesHeldMax?: number | undefined;
  /** Leaves walked so far, and of how many. */
  readonly onProgress: (leaves: number, allLeaves: number) => void;
  readonly signal: AbortSignal;
};

export type ShardOutcome = {
  readonly shardId: number;
  readonly end: LogEnd;
  readonly pass: ShardPass;
  readonly elections: readonly AuditedElection[];
};

export function runShard(options: ShardRunOptions): Promise<ShardOutcome> {
  const { url } = options.target;
  return withStandby(url, (rowsClient) => withStandby(url, (client) => audit(options, rowsClient, client)));
}

async function audit(options: ShardRunOptions, rowsClient: pg.Client, client: pg.Client): Promise<ShardOutcome> {
  const { target, findings, witness, voters, resume, tilesHeldMax, signal, onProgress, sketch } = options;
  const { shardId } = target;
  const known = knownOutside(options);
  const end = await awaitLogEnd(client, known, signal);
  checkHead(options, end);
  findings.demand(end.batch >= known.batch, () => ({
    kind: "BATCH_MISSING",
    shardId,
    batch: end.batch + 1,
    throughBatch: known.batch,
    detail: `the published tally counts batch ${known.batch}, and the log ends with batch ${end.batch}`,
  }));
  const stored = await readElections(client);
  const elections = new Map<number, AuditedElection>();
  for (const election of stored) elections.set(election.number, await auditedElection(options, client, election));
  const pass = await passOver({
    shardId,
    rowsClient,
    client,
    findings,
    witness,
    end,
    elections,
    leavesBefore: new Map(stored.map(({ number, leavesBefore }) => [number, leavesBefore])),
    electionKeys: new Map(stored.map(({ number, electionId }) => [number, options.electionKeyOf(electionId)])),
    ownSlots: sketch.ownSlots,
    voters,
    resume,
    tilesHeldMax,
    onProgress: (leaves) => onProgress(leaves, end.leaves),
    signal,
  });
  await checkBeyond(options, client, pass);
  return { shardId, end, pass, elections: [...elections.values()] };
}

/** What the standby must show, by what others have seen of the log. */
function knownOutside({ target, tallies, witness, sketch }: ShardRunOptions): { batch: number; leaves: number } {
  const vectors = [...tallies.values()].flatMap(({ cut }) => cut.vector);
  const batches = vectors.filter(({ shardId }) => shardId === target.shardId).map(({ batch }) => Number(batch));
  const isSameLog = witness !== undefined && witness.generation <= (sketch.end.head?.generation ?? 1);
  return { batch: Math.max(0, ...batches), leaves: isSameLog ? witness.signedLeaves : 0 };
}

function checkHead({ target, witness, findings }: ShardRunOptions, end: LogEnd): void {
  const { shardId } = target;
  const { head } = end;
  const changed = (holds: boolean, detail: () => string) =>
    findings.demand(holds, () => ({ kind: "HEAD_CHANGED", shardId, detail: detail() }));
  if (head === undefined) {
    changed(false, () => "it has no head");
    return;
  }
  changed(
    head.batchNumber === end.batch && head.treeSize === end.leaves,
    () =>
      `it stands at batch ${head.batchNumber} with ${head.treeSize} leaves, and the log at batch ${end.batch} with ${end.leaves}`,
  );
  if (witness === undefined) {
    const detail = "no verifier key of it is known, so nothing that was signed vouches for its log";
    findings.demand(end.leaves === 0, () => ({ kind: "CHECKPOINT_MISSING", shardId, detail }));
    return;
  }
  changed(head.deployment === witness.deployment, () => `it is of the deployment "${head.deployment}"`);
  changed(
    head.generation >= witness.generation,
    () => `it is of generation ${head.generation}, and generation ${witness.generation} has been signed`,
  );
  findings.demand(head.keyFingerprint.length === 0 || head.keyFingerprint.equals(sha256(witness.publicKey)), () => ({
    kind: "KEY_CHANGED",
    shardId,
    detail: `its head names a key of fingerprint ${head.keyFingerprint.toString("hex")}, which is not the one that is trusted`,
  }));
  findings.demand(end.leaves === 0 || witness.checkpointCount > 0, () => ({
    kind: "CHECKPOINT_MISSING",
    shardId,
    detail: "no signed checkpoint of it is known, so only its database vouches for its log",
  }));
}

async function auditedElection(
  options: ShardRunOptions,
  client: pg.Client,
  election: StoredElection,
): Promise<AuditedElection> {
  const { pool, carriedHashes, tallies, target, findings } = options;
  const { number, electionId, openBatch, closeBatch } = election;
  pool.add(election);
  const remembered = carriedHashes.get(electionId);
  const pinned = remembered === undefined ? undefined : Buffer.from(remembered, "hex");
  if (pinned !== undefined) pool.claim(electionId, pinned);
  const definitionHash = await pool.carriedHash(client, election, pinned);
  carriedHashes.set(electionId, definitionHash.toString("hex"));
  const shape = pool.shapeOf(definitionHash);
  const isSame =
    election.definitionHash.equals(definitionHash) &&
    sha256(election.definition).equals(definitionHash) &&
    shape?.definition.electionId === electionId;
  findings.demand(isSame, () => ({
    kind: "DEFINITION_CHANGED",
    shardId: target.shardId,
    electionId,
    detail: `its definition is not the one of hash ${definitionHash.toString("hex")} that its leaves carry`,
  }));
  const audited = new AuditedElection({ number, electionId, definitionHash, shape, openBatch, closeBatch });
  const position = tallies.get(electionId)?.cut.vector.find(({ shardId }) => shardId === target.shardId);
  audited.tallyBatch = position === undefined ? -1 : Number(position.batch);
  return audited;
}

/** Rows and tiles that are behind the log's end even now. */
async function checkBeyond({ target, findings }: ShardRunOptions, client: pg.Client, pass: ShardPass): Promise<void> {
  const { shardId } = target;
  const now = await readLogEnd(client);
  for (const { leaf, batch } of pass.laterRows) {
    if (leaf < now.leaves && batch <= now.batch) continue;
    const detail = `a row of batch ${batch} claims it, and the log ends with batch ${now.batch} and ${now.leaves} leaves`;
    findings.add({ kind: "ROW_BEYOND_LOG", shardId, leaf, batch, detail });
  }
  const { rows } = await client.query<{ level: number; tile_index: number }>(
    `SELECT level, tile_index::float8 AS tile_index FROM urna.tiles,
       (SELECT coalesce(max(tree_size), 0) AS leaves FROM urna.batches) AS log
     WHERE (tile_index + 1)::float8 * power(${tileWidth}::float8, level + 1) > leaves ORDER BY 1, 2 LIMIT 10`,
  );
  for (const { level, tile_index } of rows) {
    const width = tileWidth ** (level + 1);
    const span = { leaf: tile_index * width, throughLeaf: (tile_index + 1) * width - 1 };
    const detail = `tile ${tile_index} of level ${level} is stored, and the log does not fill it`;
    findings.add({ kind: "TILE_CHANGED", shardId, ...span, detail });
  }
}
