/** What every client may rely on, through any router and any protocol, on a whole cluster of two shards. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Findings } from "#bench/checker-findings.ts";
import { readShard, withSession } from "#bench/checker-shard.ts";
import { checkTallySnapshot } from "#bench/checker-tally.ts";
import { Story } from "#bench/cluster-story.ts";
import { FrameWitness } from "#bench/frame-witness.ts";
import { sqlReports } from "#bench/sql-reports.ts";
import { plainReceipt } from "#bench/story-caster.ts";
import { choosing, storyContestId, withAnotherKey } from "#bench/story-election.ts";
import { recountOf, snapshotOrNothing, talliedCounts } from "#bench/story-tally.ts";
import type { TallySnapshot } from "#bench/tally-check.ts";
import type { SentVote, ToldOutcome } from "#bench/vote-ledger.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { ElectionState, ResultsVisibility } from "#proto/generated/urna/v1/election_pb.js";
import { RejectionError } from "#proto/rejections.ts";

let story: Story;

beforeAll(async () => {
  story = await Story.start({ shards: 2, routers: 2, spares: 0 });
});

afterAll(() => story?.[Symbol.asyncDispose]());

const ways: Record<string, (router: number, vote: SentVote) => Promise<ToldOutcome>> = {
  CastVote: (router, vote) => story.caster.castOne(vote, { router }),
  CastVoteBatch: async (router, vote) => (await story.caster.castBatch([vote], { router }))[0] ?? { kind: "unknown" },
  CastVotes: (router, vote) => story.caster.castInStream(vote, { router }),
  "Connect JSON": (router, vote) =>
    story.caster.castAsJson(vote, story.cluster.endpoints.routers[router]?.connect ?? ""),
};

/** The kind of an outcome, or the reason of a refusal. */
const wordOf = (told: ToldOutcome | undefined) => (told?.kind === "refused" ? told.reason : told?.kind);
const wordsOf = (told: readonly ToldOutcome[]) => [...new Set(told.map(wordOf))];

const receiptIdOf = (told: ToldOutcome | undefined) =>
  told !== undefined && "receipt" in told ? told.receipt.receiptId : undefined;

describe("a vote that was acknowledged", () => {
  test("gets its original receipt again through either router by every call, also after the close (I3)", async () => {
    const electionId = "retried";
    await story.election(electionId);
    const votes = story.votes(electionId, 8);
    const told = await Promise.all(
      votes.map((vote, n) => Object.values(ways)[n % 4]?.(n % 2, vote) ?? Promise.reject(new Error("no way"))),
    );
    expect(told.map((outcome) => outcome?.kind)).toEqual(votes.map(() => "recorded"));
    const originals = told.map(receiptIdOf);
    expect(new Set(originals).size).toBe(votes.length);

    const sendAllAgain = async () => {
      for (const way of Object.values(ways)) {
        for (const router of [0, 1]) {
          const again = await Promise.all(votes.map((vote) => way(router, vote)));
          expect(again.map((outcome) => outcome?.kind)).toEqual(votes.map(() => "repeat"));
          expect(again.map(receiptIdOf)).toEqual(originals);
        }
      }
    };
    await sendAllAgain();
    await story.electionsAt(1).closeElection({ electionId }, story.admin);
    expect(wordsOf(await story.caster.castBatch(story.votes(electionId, 1)))).toEqual(["ELECTION_CLOSED"]);
    await sendAllAgain();
    for (const [n, vote] of votes.entries()) {
      const { voterId, idempotencyKey } = vote;
      const voter = { case: "voterId", value: voterId } as const;
      const { receipt } = await story.caster.client(n).getReceipt({ electionId, voter, idempotencyKey });
      expect(receipt === undefined ? undefined : plainReceipt(receipt).receiptId).toBe(originals[n]);
    }
    await story.expectTally(electionId, { final: true });
  });

  test("is the only one of its voter: another choice, key or no key is ALREADY_VOTED, also after the close (I2, I3)", async () => {
    const electionId = "once";
    await story.election(electionId);
    const votes = await story.cast(electionId, 12);
    const others = votes.flatMap((vote) => {
      const changed = vote.selections.length === 0 ? choosing(vote, "ada") : { ...vote, selections: [] };
      return [
        changed,
        withAnotherKey(vote),
        { ...vote, idempotencyKey: new Uint8Array() },
        { ...vote, regionId: vote.regionId === "north/ward-1" ? "north/ward-2" : "north/ward-1" },
      ];
    });
    const already = "ALREADY_VOTED";
    for (const router of [0, 1]) expect(wordsOf(await story.caster.castBatch(others, { router }))).toEqual([already]);
    for (const way of Object.values(ways)) expect(wordOf(await way(1, others[0] as SentVote))).toBe(already);
    await story.electionsAt(0).closeElection({ electionId }, story.admin);
    expect(wordsOf(await story.caster.castBatch(others, { router: 1 }))).toEqual([already]);
    expect((await story.caster.castBatch(votes)).map(({ kind }) => kind)).toEqual(votes.map(() => "repeat"));
    await story.expectTally(electionId, { final: true });
  });
});

describe("one voter through two routers at once", () => {
  const voters = 400;
  const batchVotes = 20;

  /** Each router gets every voter once; one begins with the first voter, the other with the last. */
  async function race(ours: readonly SentVote[], theirs: readonly SentVote[]): Promise<[ToldOutcome[], ToldOutcome[]]> {
    const run = async (votes: readonly SentVote[], router: number) => {
      const told: ToldOutcome[] = [];
      for (let at = 0; at < votes.length; at += batchVotes) {
        told.push(...(await story.caster.castBatch(votes.slice(at, at + batchVotes), { router })));
      }
      return told;
    };
    const [a, b] = await Promise.all([run(ours, 0), run(theirs.toReversed(), 1)]);
    return [a, b.reverse()];
  }

  test("with different choices is counted once; the other is ALREADY_VOTED, and so it stays (I2, I3)", async () => {
    const electionId = "two-minds";
    await story.election(electionId);
    const votes = story.votes(electionId, voters);
    const ours = votes.map((vote) => choosing(vote, "ada"));
    const theirs = votes.map((vote) => choosing(withAnotherKey(vote), "bob"));
    const [atFirst, atSecond] = await race(ours, theirs);
    const winners = atFirst.map((told, n) => {
      const kinds = [wordOf(told), wordOf(atSecond[n])];
      expect(kinds.toSorted()).toEqual(["ALREADY_VOTED", "recorded"]);
      return told.kind === "recorded" ? 0 : 1;
    });
    // Else it was no race (A10).
    expect(new Set(winners)).toEqual(new Set([0, 1]));

    const [againFirst, againSecond] = await race(ours, theirs);
    for (const [n, winner] of winners.entries()) {
      const [won, lost] = winner === 0 ? [againFirst[n], againSecond[n]] : [againSecond[n], againFirst[n]];
      expect(won?.kind).toBe("repeat");
      expect(receiptIdOf(won)).toBe(receiptIdOf(winner === 0 ? atFirst[n] : atSecond[n]));
      expect(wordOf(lost)).toBe("ALREADY_VOTED");
    }
    const { root } = await story.expectTally(electionId);
    expect(root.ballots).toBe(BigInt(voters));
    const counts = new Map(root.contests[0]?.options.map(({ optionId, count }) => [optionId, Number(count)]));
    expect(counts.get("ada")).toBe(winners.filter((winner) => winner === 0).length);
    expect(counts.get("bob")).toBe(winners.filter((winner) => winner === 1).length);
  });

  test("with one vote is recorded once and repeated once, under one receipt (I2, I3)", async () => {
    const electionId = "one-mind";
    await story.election(electionId);
    const votes = story.votes(electionId, voters);
    const [atFirst, atSecond] = await race(votes, votes);
    for (const [n, told] of atFirst.entries()) {
      expect([told.kind, atSecond[n]?.kind].toSorted()).toEqual(["recorded", "repeat"]);
      expect(receiptIdOf(told)).toBe(receiptIdOf(atSecond[n]));
    }
    const recordedBy = new Set(atFirst.map(({ kind }) => kind));
    expect(recordedBy).toEqual(new Set(["recorded", "repeat"]));
    await story.expectTally(electionId);
  });
});

const vectorOf = ({ cut }: TallySnapshot) => cut.vector.map(({ shardId, batch }) => `${shardId}:${batch}`).join(" ");

describe("while votes arrive", () => {
  test("no count falls between frames, and frames equal the recount and the rows at their vector (I5, I7)", async () => {
    const electionId = "watched";
    await story.election(electionId);
    await using storm = story.storm(electionId);
    const witness = new FrameWitness(story.routers, electionId, () => storm.sent);
    const snapshots = new Map<string, TallySnapshot>();
    let ballots = 0n;
    for (let turn = 0; turn < 4; turn++) {
      await storm.untilMore(50);
      const snapshot = await waitFor("a cut with more ballots", 20_000, async () => {
        const next = await snapshotOrNothing(story.talliesAt(turn), electionId);
        return next !== undefined && next.root.ballots > ballots ? next : undefined;
      });
      ballots = snapshot.root.ballots;
      snapshots.set(vectorOf(snapshot), snapshot);
      const { matches, differences, rowsCounted } = await recountOf(story.talliesAt(turn), electionId);
      expect({ matches, differences }).toEqual({ matches: true, differences: [] });
      expect(Number(rowsCounted)).toBeGreaterThan(0);
    }
    await waitFor("5 frames", 20_000, () => (witness.rule.frames >= 5 ? true : undefined));
    await storm.stop();
    const { faults, frames } = await witness.stop();
    expect(faults).toEqual([]);
    expect(frames).toBeGreaterThanOrEqual(5);
    const shards = await Promise.all([0, 1].map((shard) => readShard(story.cluster.ownerUrl(shard))));
    const findings = new Findings();
    for (const snapshot of snapshots.values()) checkTallySnapshot(findings, shards, electionId, snapshot);
    expect(findings.lines()).toEqual([]);
    await story.expectTally(electionId);
  });

  test("the election closes: acknowledged votes stand before the close, the rest is refused, the result is final (I3, I10)", async () => {
    const electionId = "closing";
    await story.election(electionId);
    await using storm = story.storm(electionId);
    await storm.untilMore(300);
    const { election } = await story
      .electionsAt(1)
      .closeElection({ electionId }, { ...story.admin, deadlineMs: 20_000 });
    const rowsAtClose = await storedRows(electionId);
    expect(election?.state).toBe(ElectionState.CLOSED);
    expect(election?.shards.map(({ shardId, state }) => [shardId, state])).toEqual([
      [0, ElectionState.CLOSED],
      [1, ElectionState.CLOSED],
    ]);
    await storm.untilRefused("ELECTION_CLOSED");
    await storm.stop();
    expect([...storm.refused.keys()]).toEqual(["ELECTION_CLOSED"]);
    expect(rowsAtClose.map(({ rows }) => rows > 0)).toEqual([true, true]);

    for (const { newest, close } of await storedRows(electionId)) expect(newest).toBeLessThan(close);
    const entries = story.ledger.entries.filter(({ vote }) => vote.electionId === electionId);
    const acknowledged = entries.filter(({ outcome }) => outcome.kind === "recorded").map(({ vote }) => vote);
    for (let at = 0; at < acknowledged.length; at += 500) {
      const again = await story.caster.castBatch(acknowledged.slice(at, at + 500), { router: at / 500 });
      expect(wordsOf(again)).toEqual(["repeat"]);
    }
    const late = await story.caster.castBatch(story.votes(electionId, 100));
    expect(wordsOf(late)).toEqual(["ELECTION_CLOSED"]);
    // Nothing was added after CloseElection had answered.
    expect(await storedRows(electionId)).toEqual(rowsAtClose);
    const { root } = await story.expectTally(electionId, { final: true });
    expect(Number(root.ballots)).toBe(rowsAtClose.reduce((sum, { rows }) => sum + rows, 0));
  });
});

type StoredRows = { rows: number; newest: number; close: number };

async function storedRows(electionId: string): Promise<StoredRows[]> {
  const query = `SELECT count(*)::int AS rows, max(v.batch_number)::int AS newest, max(e.close_batch)::int AS close
                 FROM urna.elections e JOIN urna.votes v ON v.election_number = e.number WHERE e.election_id = $1`;
  return (await Promise.all([0, 1].map((shard) => story.sql<StoredRows>(shard, query, [electionId])))).flat();
}

describe("a row that is changed by SQL", () => {
  const electionId = "tampered";
  let snapshot: TallySnapshot;

  beforeAll(async () => {
    await story.election(electionId);
    await story.cast(electionId, 200);
    snapshot = await story.expectTally(electionId);
  });

  const cell = { ada: "\\x0001", bob: "\\x0002" } as const;
  const rowOf = (optionId: keyof typeof cell) => `(SELECT v.nullifier FROM urna.votes v
    JOIN urna.elections e ON e.number = v.election_number AND e.election_id = '${electionId}'
    JOIN urna.election_regions r ON r.election_number = e.number AND r.region = v.region AND r.region_id = 'north/ward-1'
    WHERE v.ballot = '${cell[optionId]}' ORDER BY v.nullifier LIMIT 1)`;

  /** What Recount says of shard 1's north/ward-1, without the numbers. */
  async function differences() {
    const result = await recountOf(story.talliesAt(1), electionId);
    expect(result.matches).toBe(result.differences.length === 0);
    expect(result.differenceCount).toBe(BigInt(result.differences.length));
    return result.differences.map(({ shardId, regionId, contestId, optionId, tally, rows }) => ({
      where: `${shardId} ${regionId} ${contestId} ${optionId}`.trim(),
      rowsMore: Number(rows - tally),
    }));
  }
  const where = (what: string) => `1 north/ward-1 ${what}`.trim();

  const changes = [
    {
      what: "another option",
      change: `UPDATE urna.votes SET ballot = '${cell.bob}' WHERE nullifier = ${rowOf("ada")}`,
      expected: [
        { where: where(`${storyContestId} ada`), rowsMore: -1 },
        { where: where(`${storyContestId} bob`), rowsMore: 1 },
      ],
    },
    {
      what: "deleted",
      change: `DELETE FROM urna.votes WHERE nullifier = ${rowOf("ada")}`,
      expected: [
        { where: where(""), rowsMore: -1 },
        { where: where(`${storyContestId} ada`), rowsMore: -1 },
      ],
    },
    {
      what: "inserted",
      change: `INSERT INTO urna.votes SELECT gen_random_uuid(), key_hash, leaf_index, batch_number, election_number, region, ballot, nonce
               FROM urna.votes WHERE nullifier = ${rowOf("bob")}`,
      expected: [
        { where: where(""), rowsMore: 1 },
        { where: where(`${storyContestId} bob`), rowsMore: 1 },
      ],
    },
  ];
  test.each(changes)(
    "($what) makes Recount differ, naming shard, region and option (I5, I7)",
    async ({ change, expected }) => {
      expect(await differences()).toEqual([]);
      await story.sql(1, "CREATE TABLE public.kept AS SELECT * FROM urna.votes");
      try {
        await story.sql(1, change);
        expect((await differences()).toSorted((a, b) => (a.where < b.where ? -1 : 1))).toEqual(expected);
      } finally {
        await story.sql(1, "TRUNCATE urna.votes");
        await story.sql(1, "INSERT INTO urna.votes SELECT * FROM public.kept");
        await story.sql(1, "DROP TABLE public.kept");
      }
      expect(await differences()).toEqual([]);
      expect((await story.expectTally(electionId)).root).toEqual(snapshot.root);
    },
  );
});

test("a sealed election shows ballots alone until the close: Recount is RESULTS_SEALED, then the results are there (I7)", async () => {
  const electionId = "sealed";
  await story.election(electionId, { results: ResultsVisibility.SEALED });
  const votes = await story.cast(electionId, 60);
  const sealed = await waitFor("60 sealed ballots", 20_000, async () => {
    const snapshot = await snapshotOrNothing(story.talliesAt(0), electionId);
    return snapshot?.root.ballots === BigInt(votes.length) ? snapshot : undefined;
  });
  expect(sealed.cut).toMatchObject({ sealed: true, final: false });
  const regions = [sealed.root, ...sealed.counties, ...sealed.precincts];
  expect(regions.flatMap(({ contests }) => contests)).toEqual([]);
  for (const router of [0, 1]) {
    const refused = await recountOf(story.talliesAt(router), electionId).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RejectionError);
    expect((refused as RejectionError).reason).toBe("RESULTS_SEALED");
  }
  await story.electionsAt(0).closeElection({ electionId }, story.admin);
  const { cut, root } = await story.expectTally(electionId, { final: true });
  expect(cut.sealed).toBe(false);
  const [contest] = root.contests;
  const sum = contest?.options.reduce((all, { count }) => all + count, contest.undervotes);
  expect(sum).toBe(BigInt(votes.length));
});

describe("the reports of docs/reports.md, on the standbys", () => {
  const electionId = "reported";
  const day = 24 * 60 * 60 * 1_000;
  const [from, to] = [-day, day].map((ms) => new Date(Date.now() + ms).toISOString()) as [string, string];
  const queries = sqlReports({ election: electionId, region: "north", from, to });

  type Row = Record<string, string | null>;

  /** The rows of all shards, added up by this key. */
  async function sums(name: string, keyOf: (row: Row) => string, column = "n"): Promise<Record<string, number>> {
    const query = queries.get(name);
    if (query === undefined) throw new Error(`docs/reports.md has no report ${name}`);
    const added: Record<string, number> = {};
    for (const shard of [0, 1]) {
      const url = story.cluster.ownerUrl(shard, "standby");
      const { rows } = await withSession(url, (client) => client.query<Row>(query));
      for (const row of rows) added[keyOf(row)] = (added[keyOf(row)] ?? 0) + Number(row[column]);
    }
    return added;
  }

  test("agree with the tally, by region, subtree, hour and in the audit trail (I5)", async () => {
    await story.election(electionId);
    await story.cast(electionId, 150);
    const { root, counties, precincts } = await story.expectTally(electionId);
    const tallied = (regions: typeof precincts) => Object.fromEntries(talliedCounts(regions));
    await waitFor("the standbys to show it", 20_000, async () => {
      const ballots = await sums("hours", () => "all", "ballots");
      return ballots["all"] === Number(root.ballots) ? true : undefined;
    });
    expect(await sums("regions", (row) => `${row["region_id"]} ${row["counted"]}`)).toEqual(tallied(precincts));
    expect(await sums("counties", (row) => `${row["county"]} ${row["counted"]}`)).toEqual(tallied(counties));
    const north = counties.filter(({ regionId }) => regionId === "north");
    expect(await sums("subtree", (row) => `north ${row["counted"]}`)).toEqual(tallied(north));
    const ballotsByCounty = Object.fromEntries(counties.map(({ regionId, ballots }) => [regionId, Number(ballots)]));
    expect(await sums("hours-by-county", (row) => row["county"] ?? "", "ballots")).toEqual(ballotsByCounty);
    const everything = await sums("shard-hours", () => "all", "votes");
    expect(everything["all"]).toBeGreaterThanOrEqual(Number(root.ballots));
    const audit = await sums("audit", ({ action, election, by }) => `${election} ${action} by ${by}`, "number");
    const changes = Object.keys(audit).filter((change) => change.startsWith(`${electionId} `));
    // What was asked for, at the election's home; what was done, on every shard.
    const done = ["define", "open", "want-created", "want-open"].map((action) => `${electionId} ${action} by admin`);
    expect(changes.toSorted()).toEqual(done);
  });
});

test("after all these stories the independent checker finds nothing wrong (I1, I2, I3, I4, I5, I10)", async () => {
  expect(await story.check()).toEqual([]);
});
