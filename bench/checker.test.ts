/** The checker must turn red for each thing that can be wrong, or it checks nothing. */
import { createCipheriv, createHash, createSecretKey, randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ElectionReading, nullifierOf, slotOfNullifier } from "#bench/checker-ballots.ts";
import { Findings } from "#bench/checker-findings.ts";
import { checkLog } from "#bench/checker-log.ts";
import type { ShardState, StoredBatch, StoredElection, StoredVote } from "#bench/checker-shard.ts";
import { checkTallySnapshot } from "#bench/checker-tally.ts";
import { checkVotes } from "#bench/checker-votes.ts";
import type { TallySnapshot } from "#bench/tally-check.ts";
import type { SentVote } from "#bench/vote-ledger.ts";
import { VoteLedger } from "#bench/vote-ledger.ts";
import { ballotCounts, electionShape } from "#proto/election-shape.ts";
import { ContestKind, ElectionDefinitionSchema, KeyKind } from "#proto/generated/urna/v1/election_pb.js";
import { RegionTallySchema, TallyCutSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { ballotCommitment, encodeLeafEntry } from "#proto/ledger/leaf-entry.ts";
import { emptyRoot, leafHash } from "#proto/ledger/merkle-hash.ts";
import { TreeFrontier } from "#proto/ledger/tree-frontier.ts";
import { formatReceiptId } from "#proto/receipt-id.ts";

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Shard = Omit<Writable<ShardState>, "votes" | "batches" | "elections"> & {
  votes: Writable<StoredVote>[];
  batches: Writable<StoredBatch>[];
  elections: Map<number, StoredElection>;
};

const electionId = "spring";
const routerKey = Buffer.alloc(32, 5);
const electionKey = createSecretKey(Buffer.alloc(32, 7));

const definition = create(ElectionDefinitionSchema, {
  electionId,
  keyKind: KeyKind.VOTER,
  regions: [{ regionId: "a" }, { regionId: "a/p" }, { regionId: "a/q" }, { regionId: "b" }],
  contests: [
    { contestId: "mayor", kind: ContestKind.PLURALITY, options: [{ optionId: "ann" }, { optionId: "bea" }] },
    {
      contestId: "council",
      kind: ContestKind.PLURALITY,
      maxSelections: 2,
      options: [{ optionId: "x" }, { optionId: "y" }, { optionId: "z" }],
      regionIds: ["a"],
    },
  ],
});
const definitionBytes = Buffer.from(toBinary(ElectionDefinitionSchema, definition));

function wrappedKey(): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", routerKey, nonce).setAAD(Buffer.from(electionId));
  const sealed = Buffer.concat([cipher.update(electionKey.export()), cipher.final()]);
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()]);
}

function storedElection(): StoredElection {
  return {
    number: 1,
    electionId,
    definition: definitionBytes,
    definitionHash: createHash("sha256").update(definitionBytes).digest("hex"),
    wrappedKey: wrappedKey(),
    state: 2,
    openBatch: 1,
    closeBatch: 0,
    reading: new ElectionReading(definitionBytes),
  };
}

function sentVote(n: number): SentVote {
  const regionId = ["a/p", "a/q", "b"][n % 3] ?? "b";
  const council = [[], ["x"], ["z", "y"]][n % 2] ?? [];
  return {
    electionId,
    voterId: `voter-${n}`,
    regionId,
    selections: [
      { contestId: "mayor", optionIds: n % 5 === 0 ? [] : [n % 2 === 0 ? "ann" : "bea"] },
      ...(regionId === "b" ? [] : [{ contestId: "council", optionIds: council }]),
    ],
    idempotencyKey: n % 4 === 0 ? new Uint8Array() : Buffer.alloc(16, n),
  };
}

type World = { readonly shards: [Shard, Shard]; readonly ledger: VoteLedger };

/** Two shards that took 60 votes in batches of 10 after the batch that opened the election, and told all of it. */
function faithfulWorld(): World {
  const shards: [Shard, Shard] = [emptyShard(0, 0, 8_191), emptyShard(1, 8_192, 16_383)];
  const ledger = new VoteLedger();
  for (let from = 0; from < 60; from += 10) {
    const votes = Array.from({ length: 10 }, (_, i) => sentVote(from + i));
    for (const shard of shards)
      commit(
        shard,
        ledger,
        votes.filter((vote) => ownerOf(shards, vote) === shard),
      );
  }
  ledger.note(sentVote(100), { kind: "refused", reason: "ELECTION_CLOSED" });
  ledger.note(sentVote(101), { kind: "unknown" });
  return { shards, ledger };
}

function emptyShard(shardId: number, first: number, last: number): Shard {
  const opening = batch(1, 0, 0);
  return {
    shardId,
    deployment: "urna",
    logOrigin: `urna/shard/${shardId}`,
    writerEpoch: 1,
    batchNumber: 1,
    treeSize: 0,
    slots: [[first, last]],
    elections: new Map([[1, storedElection()]]),
    batches: [opening],
    votes: [],
  };
}

/** Of the leaves that were committed, whatever a fault makes of the rows afterwards. */
const trees = new WeakMap<Shard, TreeFrontier>();

function treeOf(shard: Shard): TreeFrontier {
  const tree = trees.get(shard) ?? TreeFrontier.empty();
  trees.set(shard, tree);
  return tree;
}

/** The services' own leaf: the checker's must agree with it. */
function leafOf({ definitionHash }: StoredElection, vote: StoredVote): Buffer {
  const bytes = (hex: string) => Buffer.from(hex, "hex");
  const commitment = ballotCommitment(bytes(vote.nonce), bytes(vote.ballot), vote.region);
  const [nullifier, keyHash] = [bytes(vote.nullifier), bytes(vote.keyHash)];
  return leafHash(
    encodeLeafEntry({ electionId, definitionHash: bytes(definitionHash), nullifier, keyHash, commitment }),
  );
}

function batch(number: number, votes: number, treeSize: number, root = emptyRoot): StoredBatch {
  const batchId = randomBytes(16).toString("hex");
  const arrays = { elections: [], regions: [], cells: [], n: [] };
  const stampMs = number * 1_000;
  return { number, batchId, writerEpoch: 1, stampMs, votes, treeSize, root: root.toString("hex"), ...arrays };
}

function ownerOf(shards: readonly Shard[], { voterId }: SentVote): Shard | undefined {
  return shards[slotOfNullifier(nullifierOf(electionKey, voterId)) < 8_192 ? 0 : 1];
}

function commit(shard: Shard, ledger: VoteLedger, votes: readonly SentVote[]): void {
  const number = shard.batchNumber + 1;
  const election = shard.elections.get(1) as StoredElection;
  const named = votes.map((vote) => ({ vote, nullifier: nullifierOf(electionKey, vote.voterId) }));
  named.sort((a, b) => (a.nullifier < b.nullifier ? -1 : 1));
  const shape = electionShape(definition);
  const sums = new Map<string, number>();
  for (const [i, { vote, nullifier }] of named.entries()) {
    const choice = election.reading.stored(vote);
    if (choice === undefined) throw new Error("a vote of the test does not fit its election");
    const leafIndex = shard.treeSize + i;
    const nonce = randomBytes(16).toString("hex");
    const row = { ...choice, nullifier, leafIndex, batch: number, election: 1, nonce };
    shard.votes.push(row);
    treeOf(shard).append(leafOf(election, row));
    // The services' own counting: the checker's must agree with it.
    for (const [cell, n] of ballotCounts(shape, choice.region, Buffer.from(choice.ballot, "hex"))) {
      sums.set(`${choice.region} ${cell}`, (sums.get(`${choice.region} ${cell}`) ?? 0) + n);
    }
    const receiptId = formatReceiptId({ shardId: shard.shardId, leafIndex: BigInt(leafIndex) });
    ledger.note(vote, { kind: "recorded", receipt: { receiptId, logOrigin: shard.logOrigin, leafIndex } });
  }
  shard.treeSize += votes.length;
  shard.batchNumber = number;
  const keys = [...sums.keys()].map((key) => key.split(" ").map(Number));
  shard.batches.push({
    ...batch(number, votes.length, shard.treeSize, treeOf(shard).root),
    elections: keys.map(() => 1),
    regions: keys.map(([region]) => region ?? 0),
    cells: keys.map(([, cell]) => cell ?? 0),
    n: [...sums.values()],
  });
}

function findingsOf({ shards, ledger }: World): string[] {
  const findings = new Findings();
  for (const shard of shards) checkLog(findings, shard);
  checkVotes(findings, shards, ledger, routerKey);
  return findings.lines();
}

function firstVote(shard: Shard): Writable<StoredVote> {
  const [vote] = shard.votes;
  if (vote === undefined) throw new Error("no vote");
  return vote;
}

test("a world in which everything holds has no finding", () => {
  expect(findingsOf(faithfulWorld())).toEqual([]);
});

const faults: [title: string, assertion: string, fault: (world: World) => void][] = [
  ["an acknowledged vote whose row is gone", "A1", ({ shards }) => shards[0].votes.pop()],
  [
    "an acknowledged vote of an election that no shard knows",
    "A1",
    ({ ledger }) => {
      const receipt = { receiptId: "0-0000-0", logOrigin: "urna/shard/0", leafIndex: 0 };
      ledger.note({ ...sentVote(1), electionId: "lost" }, { kind: "recorded", receipt });
    },
  ],
  ["a row with another choice", "A1", ({ shards }) => Object.assign(firstVote(shards[0]), { ballot: "0002" })],
  [
    "a row in another region",
    "A1",
    ({ shards }) => Object.assign(firstVote(shards[0]), { region: (firstVote(shards[0]).region + 1) % 3 }),
  ],
  ["a row with another key", "A1", ({ shards }) => Object.assign(firstVote(shards[0]), { keyHash: "f".repeat(32) })],
  [
    "two rows that changed leaves",
    "A1",
    ({ shards }) => {
      const [one, two] = shards[0].votes;
      if (one !== undefined && two !== undefined) [one.leafIndex, two.leafIndex] = [two.leafIndex, one.leafIndex];
    },
  ],
  [
    "a voter on both shards",
    "A2",
    ({ shards }) => shards[1].votes.push({ ...firstVote(shards[0]), leafIndex: shards[1].treeSize }),
  ],
  [
    "a vote on the shard that does not own its slot",
    "A2",
    ({ shards }) => shards[1].votes.push(...shards[0].votes.splice(0, 1)),
  ],
  ["a row that nobody sent", "A3", ({ shards }) => Object.assign(firstVote(shards[0]), { nullifier: "0".repeat(32) })],
  [
    "a vote that was refused, and stored all the same",
    "A3",
    ({ shards, ledger }) => {
      const unseen = new VoteLedger();
      const owner = shards.find((shard) => shard === ownerOf(shards, sentVote(100)));
      if (owner !== undefined) commit(owner, unseen, [sentVote(100)]);
      expect(unseen.acknowledged).toBe(1);
      expect(ledger.entries.some(({ vote }) => vote.voterId === "voter-100")).toBe(true);
    },
  ],
  [
    "a voter with two receipts",
    "A4",
    ({ ledger }) => {
      const receipt = { receiptId: "0-00ZZ-0", logOrigin: "urna/shard/0", leafIndex: 1_023 };
      ledger.note(sentVote(1), { kind: "repeat", receipt });
    },
  ],
  [
    "one receipt given to two voters",
    "A4",
    ({ ledger }) => {
      const [first] = ledger.entries;
      if (first !== undefined) ledger.note(sentVote(300), first.outcome);
    },
  ],
  [
    "a receipt id that does not name its leaf",
    "A4",
    ({ ledger }) => {
      const [entry] = ledger.entries;
      if (entry !== undefined && "receipt" in entry.outcome)
        Object.assign(entry.outcome.receipt, { receiptId: "0-0000-1" });
    },
  ],
  [
    "counts added twice",
    "A5",
    ({ shards }) => Object.assign(shards[0].batches[1] ?? {}, doubled(shards[0].batches[1])),
  ],
  ["counts that are missing", "A5", ({ shards }) => Object.assign(shards[0].batches[1] ?? {}, emptyArrays)],
  ["ragged count arrays", "A5", ({ shards }) => Object.assign(shards[0].batches[1] ?? {}, { n: [] })],
  ["a row that is no ballot", "A5", ({ shards }) => Object.assign(firstVote(shards[0]), { ballot: "00ff" })],
  ["a missing batch", "A6", ({ shards }) => shards[0].batches.splice(2, 1)],
  ["a head behind its log", "A6", ({ shards }) => Object.assign(shards[0], { batchNumber: 3 })],
  ["a tree larger than its rows", "A6", ({ shards }) => Object.assign(shards[0], { treeSize: 999 })],
  ["a gap in the leaves", "A6", ({ shards }) => Object.assign(shards[0].votes.at(-1) ?? {}, { leafIndex: 999 })],
  ["a batch with fewer rows than it says", "A6", ({ shards }) => Object.assign(firstVote(shards[0]), { batch: 3 })],
  [
    "two batches of one id",
    "A6",
    ({ shards }) => Object.assign(shards[0].batches[2] ?? {}, { batchId: shards[0].batches[1]?.batchId }),
  ],
  ["a batch of a deposed writer", "A6", ({ shards }) => Object.assign(shards[0].batches[1] ?? {}, { writerEpoch: 9 })],
  ["a nonce that was changed", "A6", ({ shards }) => Object.assign(firstVote(shards[0]), { nonce: "f".repeat(32) })],
  ["a root that was changed", "A6", ({ shards }) => Object.assign(shards[0].batches[2] ?? {}, { root: "00" })],
  ["a stamp that goes back", "A6", ({ shards }) => Object.assign(shards[0].batches[2] ?? {}, { stampMs: 1 })],
  ["a slot with two owners", "A7", ({ shards }) => Object.assign(shards[0], { slots: [[0, 8_192]] })],
  ["a slot without owner", "A7", ({ shards }) => Object.assign(shards[0], { slots: [[0, 8_190]] })],
  [
    "a vote in a batch after the close",
    "I10",
    ({ shards }) => shards[0].elections.set(1, { ...storedElection(), closeBatch: 3 }),
  ],
  [
    "a definition that is not the one that was hashed",
    "A3",
    ({ shards }) => shards[0].elections.set(1, { ...storedElection(), definitionHash: "00" }),
  ],
];

const emptyArrays = { elections: [], regions: [], cells: [], n: [] };

function doubled(from: StoredBatch | undefined) {
  return { n: (from?.n ?? []).map((n) => n * 2) };
}

describe("found", () => {
  for (const [title, assertion, fault] of faults) {
    test(`${assertion}: ${title}`, () => {
      const world = faithfulWorld();
      fault(world);
      expect(findingsOf(world).map((line) => line.split(":")[0])).toContain(assertion);
    });
  }
});

test("an unknown outcome explains a row, and so does a refusal beside it", () => {
  const world = faithfulWorld();
  const unseen = new VoteLedger();
  const late = sentVote(101);
  const owner = ownerOf(world.shards, late);
  if (owner !== undefined) commit(owner, unseen, [late]);
  world.ledger.note(late, { kind: "refused", reason: "ALREADY_VOTED" });
  expect(findingsOf(world)).toEqual([]);
});

describe("a tally read at a cut (I7)", () => {
  const at = (shards: readonly Shard[], batches: readonly number[]): TallySnapshot => {
    const counts = new Map<string, Map<string, number>>();
    for (const [i, shard] of shards.entries()) {
      for (const { regions, cells, n } of shard.batches.filter(({ number }) => number <= (batches[i] ?? 0))) {
        for (const [j, region] of regions.entries()) {
          const reading = new ElectionReading(definitionBytes);
          const leaf = reading.leaves[region] ?? "";
          const county = leaf.split("/")[0] ?? "";
          for (const id of new Set([leaf, county, ""])) {
            const cell = reading.cellNames[cells[j] ?? 0] ?? "";
            const region = counts.get(id) ?? new Map<string, number>();
            counts.set(id, region.set(cell, (region.get(cell) ?? 0) + (n[j] ?? 0)));
          }
        }
      }
    }
    const tally = (regionId: string) => {
      const cells = counts.get(regionId) ?? new Map<string, number>();
      const of = (cell: string) => BigInt(cells.get(cell) ?? 0);
      const contests = definition.contests.map(({ contestId, options }) => ({
        contestId,
        undervotes: of(`${contestId} undervotes`),
        options: options.map(({ optionId }) => ({ optionId, count: of(`${contestId} ${optionId}`) })),
      }));
      return create(RegionTallySchema, { regionId, ballots: of("ballots"), contests });
    };
    const vector = shards.map(({ shardId }, i) => ({ shardId, batch: BigInt(batches[i] ?? 0) }));
    return {
      cut: create(TallyCutSchema, { vector }),
      root: tally(""),
      counties: [tally("a"), tally("b")],
      precincts: [tally("a/p"), tally("a/q"), tally("b")],
    };
  };
  const check = (shards: readonly Shard[], snapshot: TallySnapshot) => {
    const findings = new Findings();
    checkTallySnapshot(findings, shards, electionId, snapshot);
    return findings.lines();
  };

  test("that equals the rows up to that cut has no finding, at the end and on the way", () => {
    const { shards } = faithfulWorld();
    expect(check(shards, at(shards, [7, 7]))).toEqual([]);
    expect(check(shards, at(shards, [3, 5]))).toEqual([]);
  });

  test("that names another cut than it shows, or lacks a shard, is found", () => {
    const { shards } = faithfulWorld();
    const snapshot = at(shards, [7, 7]);
    const [first] = snapshot.cut.vector;
    if (first !== undefined) first.batch = 6n;
    expect(check(shards, snapshot)[0]).toMatch(/^A5: spring root/);
    snapshot.cut.vector.shift();
    expect(check(shards, snapshot)[0]).toMatch(/^A5: the tally's cut lacks the shards 0/);
  });
});
