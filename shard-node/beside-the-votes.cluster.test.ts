/** What a shard does beside taking votes, and that it never keeps votes, or receipts, waiting. */
import { expect, test } from "vitest";
import { CountFold } from "#bench/rig-counts.ts";
import { RigElection } from "#bench/rig-election.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { all, outcomesOf, sharedRig } from "./shared-rig.ts";

const rigOf = sharedRig();
const limitMs = 20_000;

async function sessions(purpose: string): Promise<number> {
  const [row] = await rigOf().sql<{ n: number }>(
    "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1",
    [`urna-${purpose}`],
  );
  return row?.n ?? 0;
}

test("an election that the database refuses is answered, keeps no vote waiting, and is copied once it can be", async () => {
  const rig = rigOf();
  const election = await rig.open("goes-on");
  const [next] = await rig.sql<{ n: number }>("SELECT max(number) + 1 AS n FROM urna.elections");
  const inTheWay = `urna.votes_${next?.n}`;
  await rig.sql(`CREATE VIEW ${inTheWay} AS SELECT 1`);
  const { client } = await rig.writer();
  const { definition, wrappedKey } = new RigElection("in-the-way", Buffer.alloc(32));
  await client.putElection({ electionId: "in-the-way", definition, wrappedKey, requestedBy: "rig" });
  const refused = client.reconcileElection({ electionId: "in-the-way" }, { deadlineMs: limitMs });
  await expect(refused).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  expect(outcomesOf(await rig.cast(election.fresh(50)))).toEqual(all(50, "RECORDED"));
  await rig.sql(`DROP VIEW ${inTheWay}`);
  await waitFor("the election to be copied", limitMs, () =>
    client.getShardElection({ electionId: "in-the-way" }).catch(() => undefined),
  );
});

test("connections that are cut at any moment are taken over again, and none is left behind (I6)", async () => {
  const rig = rigOf();
  const election = await rig.open("cut-often");
  const storm = rig.storm(election, { votesPerFrame: 3 });
  for (let cut = 0; cut < 25; cut++) {
    await rig.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'urna-writer'");
    // Some cuts meet a commit, some a takeover, some a look-up.
    await storm.more(cut % 5 === 0 ? 12 : 1);
  }
  expect(outcomesOf((await storm.stop()).map(({ answer }) => answer)).every((o) => /^(RECORDED|REPEAT)$/.test(o))).toBe(
    true,
  );
  await waitFor("one writer's session", limitMs, async () => ((await sessions("writer")) === 1 ? true : undefined));
});

test("recounts that nobody reads keep no receipt waiting (I9)", async () => {
  const rig = rigOf();
  const election = await rig.open("recounted-by-many");
  const [vote] = election.fresh(1);
  if (vote === undefined) throw new Error("one vote was asked for");
  const [answer] = await rig.settle([vote]);
  const { client } = await rig.writer();
  const throughBatch = BigInt(answer?.batch ?? 0);
  const recounts = Array.from({ length: 12 }, () =>
    client.recountVotes({ electionId: election.id, throughBatch })[Symbol.asyncIterator](),
  );
  await Promise.all(recounts.map((recount) => recount.next()));
  const frame = election.frame([vote], 1);
  const found = await client.findVote(
    {
      electionId: election.id,
      nullifier: frame.nullifiers ?? Buffer.alloc(0),
      keyHash: frame.keyHashes ?? Buffer.alloc(0),
    },
    { deadlineMs: 5_000 },
  );
  expect(found).toMatchObject({ found: true, leafIndex: BigInt(answer?.leaf ?? -1) });
  for (const recount of recounts) await recount.return?.();
});

test("running totals stored beside the write path replay to the same counts (I5, I7)", async () => {
  const rig = rigOf();
  const election = await rig.open("replayed");
  await rig.settle(election.fresh(200));
  const node = await rig.writer();
  const { batch } = await rig.head();
  expect(await node.kill("SIGTERM")).toBe(0);
  await node.start();
  // A new writer stores running totals first of all.
  await waitFor("a snapshot", limitMs, async () => {
    const [row] = await rig.sql<{ through: number }>(
      "SELECT max(through_batch)::float8 AS through FROM urna.count_snapshots",
    );
    return (row?.through ?? 0) >= batch ? true : undefined;
  });
  await rig.settle(election.fresh(30));
  const fold = CountFold.follow(await rig.writer(), 0);
  expect((await fold.reaches((await rig.head()).batch)).ballotsOf(election.id)).toBe(230n);
  await fold.stop();
});
