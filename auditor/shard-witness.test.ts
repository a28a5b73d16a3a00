import { expect, test } from "vitest";
import { formatCheckpoint } from "#proto/ledger/checkpoint.ts";
import { formatElectionResult } from "#proto/ledger/election-result.ts";
import { formatVerifierKey, generateLedgerKey, noteSigner, publicKeyOf, signNote } from "#proto/ledger/signed-note.ts";
import { FindingBook } from "./finding-book.ts";
import { ShardWitness } from "./shard-witness.ts";

const key = generateLedgerKey();
const origin = "urna/shard/1";
const verifierKey = formatVerifierKey(origin, publicKeyOf(key));

const root = (fill: number) => Buffer.alloc(32, fill);

function checkpoint(size: number, fill = size % 256, { name = origin, by = key } = {}): Buffer {
  return signNote(formatCheckpoint({ origin: name, size, root: root(fill), extensions: [] }), noteSigner(name, by));
}

function result(ballots: number, name = origin): Buffer {
  const text = formatElectionResult({
    checkpoint: { origin: name, size: ballots, root: root(9) },
    electionId: "town",
    definitionHash: root(1),
    closeBatch: 7,
    ballots,
    contests: [],
  });
  return signNote(text, noteSigner(name, key));
}

function witness(): { witness: ShardWitness; findings: FindingBook; learn(...notes: readonly Uint8Array[]): string[] } {
  const findings = new FindingBook();
  const met = new ShardWitness(1, verifierKey);
  const learn = (...notes: readonly Uint8Array[]) => {
    for (const note of notes) met.learnCheckpoint(note, findings, "the router");
    return findings.kept.map(({ kind }) => kind);
  };
  return { witness: met, findings, learn };
}

test("knows what was signed, in order, each once", () => {
  const { witness: met, learn } = witness();
  expect(learn(checkpoint(30), checkpoint(10), checkpoint(30), checkpoint(20))).toEqual([]);
  expect(met.signedSizes().map(({ size }) => size)).toEqual([10, 20, 30]);
  expect([met.signedLeaves, met.checkpointCount]).toEqual([30, 3]);
});

test("two roots of one size contradict each other, whatever the database says, and both are remembered (I8)", () => {
  const { witness: met, findings, learn } = witness();
  learn(checkpoint(10), checkpoint(30, 1), checkpoint(30, 2));
  expect(findings.kept).toMatchObject([{ kind: "CHECKPOINTS_CONTRADICT", shardId: 1, leaf: 10, throughLeaf: 29 }]);
  const again = witness();
  again.witness.recall(met.memory(), again.findings);
  expect(again.findings.kept.map(({ kind }) => kind)).toEqual(["CHECKPOINTS_CONTRADICT"]);
});

test("one size of two generations is no contradiction: the log has another name after a loss", () => {
  const { witness: met, learn } = witness();
  expect(learn(checkpoint(30, 1), checkpoint(30, 2, { name: `${origin}/2` }))).toEqual([]);
  expect(met.generation).toBe(2);
});

const another = generateLedgerKey();
const flipped = Buffer.from(checkpoint(5));
flipped[20] = (flipped[20] ?? 0) ^ 1;

const refused: readonly { what: string; note: Uint8Array; kind: string }[] = [
  { what: "of another key", note: checkpoint(5, 5, { by: another }), kind: "KEY_CHANGED" },
  { what: "of another shard", note: checkpoint(5, 5, { name: "urna/shard/2" }), kind: "CHECKPOINT_UNREADABLE" },
  { what: "of another deployment", note: checkpoint(5, 5, { name: "town/shard/1" }), kind: "CHECKPOINT_UNREADABLE" },
  { what: "of no log", note: checkpoint(5, 5, { name: "somebody" }), kind: "CHECKPOINT_UNREADABLE" },
  { what: "with a bit flipped", note: flipped, kind: "CHECKPOINT_UNREADABLE" },
  { what: "that is cut off", note: checkpoint(5).subarray(0, 60), kind: "CHECKPOINT_UNREADABLE" },
  { what: "that is empty", note: Buffer.alloc(0), kind: "CHECKPOINT_UNREADABLE" },
];

test.each(refused)("a checkpoint $what is a finding, and is not believed", ({ note, kind }) => {
  const { witness: met, learn } = witness();
  expect(learn(note)).toEqual([kind]);
  expect(met.checkpointCount).toBe(0);
});

test("what is remembered is what was known", () => {
  const { witness: met, findings, learn } = witness();
  learn(checkpoint(10), checkpoint(20));
  met.learnResult(result(15), findings, "the router");
  const again = new ShardWitness(1, met.memory().verifierKey);
  again.recall(met.memory(), findings);
  expect(again.signedSizes()).toEqual(met.signedSizes());
  expect(again.resultsOf("town")).toEqual(met.resultsOf("town"));
  expect(findings.kept).toEqual([]);
});

test("two results of one election contradict each other; one of each generation does not", () => {
  const { witness: met, findings } = witness();
  met.learnResult(result(15), findings, "the router");
  met.learnResult(result(15), findings, "the router");
  met.learnResult(result(14, `${origin}/2`), findings, "the router");
  expect(findings.kept).toEqual([]);
  met.learnResult(result(16), findings, "the router");
  expect(findings.kept).toMatchObject([{ kind: "RESULT_DIFFERS", shardId: 1, electionId: "town" }]);
});

test("a key that is served is the same one under the name of a later generation, and another one is a finding", () => {
  const { witness: met, findings } = witness();
  met.compareKey(formatVerifierKey(`${origin}/2`, publicKeyOf(key)), findings, "the router");
  expect(findings.kept).toEqual([]);
  met.compareKey(formatVerifierKey(origin, publicKeyOf(another)), findings, "the router");
  met.compareKey("nonsense", findings, "the router");
  expect(findings.kept.map(({ kind }) => kind)).toEqual(["KEY_CHANGED", "KEY_CHANGED"]);
});

test("a key of another shard, or none, is no key of this one", () => {
  for (const bad of [formatVerifierKey("urna/shard/2", publicKeyOf(key)), "nonsense"]) {
    expect(() => new ShardWitness(1, bad)).toThrow(/verifier key/);
  }
});
