import { beforeEach, describe, expect, test } from "vitest";
import { CallError } from "#mesh/call-error.ts";
import { createLogger } from "#mesh/log.ts";
import { generateLedgerKey } from "#proto/ledger/signed-note.ts";
import { HandClock } from "./sample-election.ts";
import { deployment, ScriptedLedger } from "./scripted-ledger.ts";
import { ScriptedReader } from "./scripted-reader.ts";
import { ShardWitness } from "./shard-witness.ts";
import type { WitnessRecord } from "./witness-record.ts";

const times = { proofDeadlineMs: 1_000, proofEveryMs: 0, unprovedMsMax: 30_000, shorterMsMax: 3_000 };
const ledger = new ScriptedLedger(0);
const rewritten = ledger.changed({ rewrittenFrom: 90 });
const secondGeneration = ledger.changed({ generation: 2, rewrittenFrom: 90 });

let clock: HandClock;
let reader: ScriptedReader;
let changes: number;
let witness: ShardWitness;

beforeEach(() => {
  clock = new HandClock();
  reader = new ScriptedReader(ledger);
  changes = 0;
  witness = witnessWith(undefined);
});

function witnessWith(record: WitnessRecord | undefined): ShardWitness {
  return new ShardWitness({
    ledger: { deployment, shardId: 0 },
    record,
    clock,
    times,
    log: createLogger("tally", "silent"),
    signal: new AbortController().signal,
    changed: () => {
      changes += 1;
    },
  });
}

/** Heard one after the other, each when the shard has answered for the one before it. */
async function hear(...notes: readonly Buffer[]): Promise<void> {
  for (const note of notes) {
    witness.hear(note, reader);
    await witness.settled();
  }
}

const highest = () => witness.record?.highest.size;

describe("the highest checkpoint", () => {
  test("is the first one seen, with the key that the shard names then", async () => {
    await hear(ledger.note(40));
    expect(highest()).toBe(40);
    expect(witness.record?.verifierKey).toBe(ledger.verifierKey);
    expect(witness.record?.highest.note).toEqual(ledger.note(40));
    expect(witness.findings).toEqual([]);
  });

  test("is replaced by a larger one that the shard proves to continue it (I8)", async () => {
    await hear(ledger.note(0), ledger.note(40), ledger.note(100), ledger.note(256), ledger.note(257));
    expect(highest()).toBe(257);
    expect(reader.proofsAsked).toEqual([
      [40, 100],
      [100, 256],
      [256, 257],
    ]);
    expect(witness.findings).toEqual([]);
  });

  test("stays as it is when it is heard again", async () => {
    await hear(ledger.note(40), ledger.note(40));
    expect([highest(), changes, reader.proofsAsked.length]).toEqual([40, 1, 0]);
  });

  test("stays as it is while the shard does not answer, and is replaced once it does", async () => {
    await hear(ledger.note(40));
    reader.failing = new CallError("UNAVAILABLE", "gone");
    await hear(ledger.note(50));
    expect([highest(), witness.findings]).toEqual([40, []]);
    reader.failing = undefined;
    await hear(Buffer.alloc(0));
    expect(highest()).toBe(50);
  });

  test("waits for one proof at a time, and of what comes meanwhile the largest is next (I9)", async () => {
    await hear(ledger.note(40));
    const release = reader.hold();
    for (const size of [41, 42, 43, 44]) witness.hear(ledger.note(size), reader);
    expect(reader.proofsAsked).toEqual([[40, 41]]);
    release();
    await witness.settled();
    expect(reader.proofsAsked).toEqual([
      [40, 41],
      [41, 44],
    ]);
    expect(highest()).toBe(44);
  });

  test("is not known before the shard says its key, and then is the newest that came", async () => {
    reader.failing = new CallError("UNAVAILABLE", "gone");
    await hear(ledger.note(40), ledger.note(41));
    expect(highest()).toBeUndefined();
    reader.failing = undefined;
    await hear(Buffer.alloc(0));
    expect(highest()).toBe(41);
  });
});

describe("is never replaced, and people are told (I8):", () => {
  beforeEach(() => hear(ledger.note(100)));

  const stranger = ledger.changed({ key: generateLedgerKey() });
  const flipped = Buffer.from(ledger.note(120));
  flipped[flipped.length - 10] = (flipped.at(-10) ?? 0) ^ 1;
  const refusals: readonly { what: string; note: Buffer; finding: RegExp; kind: string }[] = [
    {
      what: "a log that is shorter",
      note: ledger.note(88),
      finding: /^shard 0: its log is shorter than a checkpoint it has signed: 12 leaves are missing$/,
      kind: "shorter",
    },
    {
      what: "another root of the same size",
      note: rewritten.note(100),
      finding: /^shard 0: it has signed two roots for one size of its log: 100 leaves$/,
      kind: "two-roots",
    },
    {
      what: "a larger log that does not continue it",
      note: rewritten.note(150),
      finding: /^shard 0: its log of 150 leaves does not continue the 100 leaves it had signed before$/,
      kind: "not-continued",
    },
    {
      what: "another key",
      note: stranger.note(150),
      finding: /by another key, with id [0-9a-f]{8}$/,
      kind: "unverified",
    },
    {
      what: "another key in a later generation",
      note: stranger.changed({ generation: 2, key: stranger.key }).note(150),
      finding: /by another key/,
      kind: "unverified",
    },
    { what: "a flipped bit", note: flipped, finding: /does not verify|canonical base64/, kind: "unverified" },
    { what: "a note cut short", note: ledger.note(120).subarray(0, -5), finding: /cut off/, kind: "unverified" },
    {
      what: "a text that is no note",
      note: Buffer.from("hello\n"),
      finding: /not the name of a shard's log/,
      kind: "unverified",
    },
    {
      what: "bytes that are no text",
      note: Buffer.of(0xff, 0x0a),
      finding: /not the name of a shard's log/,
      kind: "unverified",
    },
    {
      what: "the log of another shard",
      note: ledger.note(120, `${deployment}/shard/1`),
      finding: /not of shard 0 of "test"$/,
      kind: "unverified",
    },
    {
      what: "the log of another deployment",
      note: ledger.note(120, "elsewhere/shard/0"),
      finding: /not of shard 0 of "test"$/,
      kind: "unverified",
    },
  ];
  for (const { what, note, finding, kind } of refusals) {
    test(what, async () => {
      reader.ledger = rewritten;
      await hear(note);
      clock.advance(times.shorterMsMax);
      expect(witness.findings).toEqual([expect.stringMatching(finding)]);
      expect([...witness.refused]).toEqual([[kind, 1]]);
      expect(witness.record?.highest.note).toEqual(ledger.note(100));
    });
  }

  test("a proof that is owed for long", async () => {
    reader.failing = new CallError("UNAVAILABLE", "gone");
    await hear(ledger.note(150));
    clock.advance(times.unprovedMsMax - 1);
    await hear(Buffer.alloc(0));
    expect(witness.findings).toEqual([]);
    clock.advance(1);
    await hear(Buffer.alloc(0));
    expect(witness.findings).toEqual([expect.stringMatching(/does not prove that its log of 150 leaves continues/)]);
    expect(highest()).toBe(100);
  });
});

test("a shorter log of a moment, as a deposed writer shows it, alarms nobody", async () => {
  await hear(ledger.note(100), ledger.note(88));
  clock.advance(times.shorterMsMax - 1);
  expect(witness.findings).toEqual([]);
  await hear(ledger.note(100));
  clock.advance(times.shorterMsMax);
  expect(witness.findings).toEqual([]);
});

test("what was wrong is no longer said once the log is seen to continue what was kept", async () => {
  await hear(ledger.note(100), ledger.note(88).subarray(0, -1));
  expect(witness.findings.length).toBe(1);
  await hear(ledger.note(101));
  expect([witness.findings, highest()]).toEqual([[], 101]);
});

test("two roots of one size are kept as evidence, whatever comes later, also by the process after this one (I8)", async () => {
  await hear(ledger.note(100), rewritten.note(100), ledger.note(120));
  expect(highest()).toBe(120);
  expect(witness.record?.twoRoots?.map(({ note }) => note)).toEqual([ledger.note(100), rewritten.note(100)]);
  witness = witnessWith(witness.record);
  await hear(ledger.note(130));
  expect(witness.findings).toEqual([expect.stringMatching(/two roots for one size of its log: 100 leaves/)]);
});

test("two roots are noticed also of a checkpoint whose proof is still on its way (I8)", async () => {
  await hear(ledger.note(80));
  const release = reader.hold();
  witness.hear(ledger.note(100), reader);
  witness.hear(rewritten.note(100), reader);
  release();
  await witness.settled();
  expect(witness.record?.twoRoots?.map(({ size }) => size)).toEqual([100, 100]);
  expect(highest()).toBe(100);
});

describe("a later generation", () => {
  test("replaces a longer log, signed with the same key, and what was lost stays on view", async () => {
    await hear(ledger.note(100), secondGeneration.note(90));
    expect(witness.record?.highest).toMatchObject({ generation: 2, size: 90 });
    expect(witness.findings).toEqual([
      "shard 0: its log began anew as generation 2 after a loss; the one before had 100 leaves, of which at least 10 leaves are missing",
    ]);
    reader.ledger = secondGeneration;
    await hear(secondGeneration.note(200));
    expect(highest()).toBe(200);
    expect(witness.findings.length).toBe(1);
  });

  test("is not left for a proof of the one before that was still on its way", async () => {
    await hear(ledger.note(100));
    const release = reader.hold();
    witness.hear(ledger.note(120), reader);
    witness.hear(secondGeneration.note(90), reader);
    release();
    await witness.settled();
    expect(witness.record?.highest).toMatchObject({ generation: 2, size: 90 });
    expect(witness.findings.length).toBe(1);
  });

  test("is not left again for the one before it", async () => {
    await hear(ledger.note(100), secondGeneration.note(90), ledger.note(101));
    clock.advance(times.shorterMsMax);
    expect(witness.record?.highest).toMatchObject({ generation: 2, size: 90 });
    expect(witness.findings[0]).toMatch(/signs generation 1 of its log again, after generation 2/);
  });
});

test("the key of a record is the key of the process after it", async () => {
  await hear(ledger.note(100));
  const stranger = ledger.changed({ key: generateLedgerKey() });
  witness = witnessWith(witness.record);
  reader.ledger = stranger;
  await hear(stranger.note(150));
  expect(highest()).toBe(100);
  expect(reader.keysAsked).toBe(1);
});
