/** The ledger of one shard: proofs, checkpoints, and what a takeover refuses (I8). */
import { expect, test } from "vitest";
import { castFrames } from "#bench/rig-cast.ts";
import type { RigElection } from "#bench/rig-election.ts";
import type { ShardRig } from "#bench/shard-rig.ts";
import type { SentVote } from "#bench/vote-ledger.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { type Checkpoint, parseCheckpoint } from "#proto/ledger/checkpoint.ts";
import { parseElectionResult } from "#proto/ledger/election-result.ts";
import { parseLeafEntry } from "#proto/ledger/leaf-entry.ts";
import { leafHash } from "#proto/ledger/merkle-hash.ts";
import { verifyConsistency, verifyInclusion } from "#proto/ledger/merkle-proof.ts";
import { parseVerifierKey, verifyNote } from "#proto/ledger/signed-note.ts";
import { all, outcomesOf, sharedRig } from "./shared-rig.ts";

const rigOf = sharedRig({ nodes: 2 });
const limitMs = 10_000;

/** The newest checkpoint, verified. */
async function checkpointOf(rig: ShardRig): Promise<Checkpoint> {
  const { client } = await rig.writer();
  const { signedNote, verifierKey } = await client.getShardCheckpoint({});
  const { text } = verifyNote(signedNote, [parseVerifierKey(verifierKey)]);
  return parseCheckpoint(text);
}

async function checkpointFrom(rig: ShardRig, size: number): Promise<Checkpoint> {
  return await waitFor(`a checkpoint of ${size} leaves`, limitMs, async () => {
    const checkpoint = await checkpointOf(rig);
    return checkpoint.size >= size ? checkpoint : undefined;
  });
}

async function expectIncluded(rig: ShardRig, leafIndex: number, { size, root }: Checkpoint) {
  const { client } = await rig.writer();
  const proof = await client.proveInclusion({ leafIndex: BigInt(leafIndex), treeSize: BigInt(size) });
  const entry = Buffer.from(proof.entry);
  const hashes = proof.hashes.map((hash) => Buffer.from(hash));
  expect(verifyInclusion({ leafHash: leafHash(entry), leafIndex, treeSize: size, proof: hashes, root })).toBe(true);
  return parseLeafEntry(entry);
}

async function expectConsistent(rig: ShardRig, older: Checkpoint, newer: Checkpoint): Promise<void> {
  const { client } = await rig.writer();
  const request = { oldSize: BigInt(older.size), newSize: BigInt(newer.size) };
  const hashes = (await client.proveConsistency(request)).hashes.map((hash) => Buffer.from(hash));
  const sizes = { oldSize: older.size, oldRoot: older.root, newSize: newer.size, newRoot: newer.root };
  expect(verifyConsistency({ ...sizes, proof: hashes })).toBe(true);
}

/** In batches of very different sizes, so that tiles fill within and between them. */
async function castInBatches(rig: ShardRig, election: RigElection): Promise<SentVote[]> {
  const votes: SentVote[] = [];
  for (const size of [1, 2, 255, 1, 300, 7, 1_100, 3]) {
    const batch = election.fresh(size);
    expect(outcomesOf(await rig.cast(batch))).toEqual(all(size, "RECORDED"));
    votes.push(...batch);
  }
  return votes;
}

test("every leaf is proved under every later checkpoint, also by the node that takes over and from the tables alone (I8)", async () => {
  const rig = rigOf();
  const election = await rig.open("proved");
  const before = await checkpointFrom(rig, 0);
  const votes = await castInBatches(rig, election);
  const size = (await rig.head()).votes;
  const checkpoint = await checkpointFrom(rig, size);
  expect(checkpoint.origin).toBe("urna/shard/0");
  await (await rig.writer()).kill();
  const [dead] = rig.nodes.filter(({ isRunning }) => !isRunning);
  await rig.cast(election.fresh(40));
  await dead?.start();
  const later = await checkpointFrom(rig, size + 40);
  await expectConsistent(rig, checkpoint, later);
  if (before.size > 0) await expectConsistent(rig, before, later);
  for (let leaf = size - votes.length; leaf < size; leaf += 37) {
    await expectIncluded(rig, leaf, checkpoint);
    await expectIncluded(rig, leaf, later);
  }
  for (let older = 1; older < size; older += 211) {
    await expectConsistent(rig, await headFrom(rig, older), later);
  }
});

/** Of the first batch whose tree has at least so many leaves. */
async function headFrom(rig: ShardRig, leaves: number): Promise<Checkpoint> {
  const [row] = await rig.sql<{ root: Buffer; size: number }>(
    "SELECT root, tree_size::float8 AS size FROM urna.batches WHERE tree_size >= $1 ORDER BY tree_size LIMIT 1",
    [leaves],
  );
  if (row === undefined) throw new Error(`no batch has ${leaves} leaves`);
  return { ...row, origin: "urna/shard/0", extensions: [] };
}

test("an entry names its election, voter and key, and nothing of the choice (I8)", async () => {
  const rig = rigOf();
  const election = await rig.open("entries");
  const [vote] = election.fresh(1);
  if (vote === undefined) throw new Error("one vote was asked for");
  const [answer] = await rig.cast([vote]);
  const checkpoint = await checkpointFrom(rig, (answer?.leaf ?? 0) + 1);
  const entry = await expectIncluded(rig, answer?.leaf ?? -1, checkpoint);
  expect(entry.electionId).toBe("entries");
  expect(Buffer.from(entry.definitionHash)).toEqual(election.shape.definitionHash);
  expect(Buffer.from(entry.nullifier).toString("hex")).toBe(election.nullifierOf(vote));
});

test("a checkpoint never covers a vote whose commit has not returned (I1, I8)", async () => {
  const rig = rigOf();
  const election = await rig.open("unpublished");
  const before = await checkpointOf(rig);
  const holding = rig.holdVotes("commit-answer");
  const casting = rig.cast(election.fresh(1));
  const held = await holding;
  expect((await checkpointOf(rig)).size).toBe(before.size);
  held.release();
  expect(outcomesOf(await casting)).toEqual(["RECORDED"]);
  await checkpointFrom(rig, before.size + 1);
});

const beyond = 2n ** 64n - 1n;
const badQuestions: Record<string, { readonly inclusion?: [bigint, bigint]; readonly consistency?: [bigint, bigint] }> =
  {
    "a tree of no leaves": { inclusion: [0n, 0n] },
    "a leaf beyond its tree": { inclusion: [5n, 5n] },
    "a tree beyond the log": { inclusion: [0n, beyond] },
    "a leaf and a tree of huge numbers": { inclusion: [beyond, beyond] },
    "an old tree of no leaves": { consistency: [0n, 1n] },
    "an old tree larger than the new one": { consistency: [2n, 1n] },
    "a new tree beyond the log": { consistency: [1n, beyond] },
  };

for (const [n, [what, { inclusion, consistency }]] of Object.entries(badQuestions).entries()) {
  test(`a proof for ${what} is refused by name, and the shard goes on`, async () => {
    const rig = rigOf();
    const election = await rig.open(`question-${n}`);
    await rig.cast(election.fresh(2));
    const { client } = await rig.writer();
    const [leafIndex, treeSize] = inclusion ?? [0n, 1n];
    const [oldSize, newSize] = consistency ?? [1n, 1n];
    const asked =
      inclusion === undefined
        ? client.proveConsistency({ oldSize, newSize })
        : client.proveInclusion({ leafIndex, treeSize });
    await expect(asked).rejects.toMatchObject({ reason: expect.stringMatching(/^(INVALID_REQUEST|NOT_FOUND)$/) });
    expect(outcomesOf(await rig.cast(election.fresh(1)))).toEqual(["RECORDED"]);
  });
}

test("what an election came to is signed once it has closed, with the ledger at its close batch (I8, I10)", async () => {
  const rig = rigOf();
  const election = await rig.open("results");
  await rig.cast(election.fresh(50));
  const { client } = await rig.writer();
  await expect(client.getShardResult({ electionId: "results" })).rejects.toMatchObject({ reason: "RESULTS_SEALED" });
  const closeBatch = await rig.close(election);
  const { verifierKey } = await client.getShardCheckpoint({});
  const { signedNote } = await client.getShardResult({ electionId: "results" });
  const result = parseElectionResult(verifyNote(signedNote, [parseVerifierKey(verifierKey)]).text);
  expect(result).toMatchObject({ electionId: "results", closeBatch, ballots: 50 });
  const [contest] = result.contests;
  const counted = (contest?.options ?? []).reduce((sum, { count }) => sum + count, 0);
  expect(counted + (contest?.undervotes ?? 0)).toBe(50);
});

test("a frame with two elections and repeats leaves one unbroken tree", async () => {
  const rig = rigOf();
  const [one, two] = [await rig.open("mixed-1"), await rig.open("mixed-2")];
  const { client } = await rig.writer();
  const [first, second] = [one.fresh(30), two.fresh(30)];
  await castFrames(client, [one.frame(first, 5_000), two.frame(second, 5_000), one.frame(first, 5_000)]);
  for (const votes of [first, second]) await rig.cast(votes);
});

test("a log gets another name only with a control batch that says who accepted the loss (I6, I8)", async () => {
  await expect(rigOf().serviceSql("SELECT urna.begin_generation(2)")).rejects.toThrow(
    /not in the batch of an accepted loss/,
  );
});
