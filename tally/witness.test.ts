import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createLogger } from "#mesh/log.ts";
import { HandClock } from "./sample-election.ts";
import { deployment, ScriptedLedger } from "./scripted-ledger.ts";
import { ScriptedReader } from "./scripted-reader.ts";
import { Witness } from "./witness.ts";

const log = createLogger("tally", "silent");
const times = {
  proofDeadlineMs: 1_000,
  proofEveryMs: 0,
  unprovedMsMax: 30_000,
  shorterMsMax: 3_000,
  fileEveryMs: 1_000,
};
const ledgers = [new ScriptedLedger(0), new ScriptedLedger(1)] as const;

let clock: HandClock;
let folder: string;
let stateFolder: string;
let file: string;

beforeEach(() => {
  clock = new HandClock();
  folder = mkdtempSync(join(tmpdir(), "urna-witness-"));
  stateFolder = join(folder, "not", "there", "yet");
  file = join(stateFolder, "checkpoints.json");
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const open = (of = deployment) => Witness.open({ stateFolder, deployment: of, clock, times, log });

async function hear(witness: Witness, ledger: ScriptedLedger, ...sizes: readonly number[]): Promise<void> {
  for (const size of sizes) {
    witness.ofShard(ledger.shardId).hear(ledger.note(size), new ScriptedReader(ledger));
    await witness.ofShard(ledger.shardId).settled();
  }
}

const highest = (witness: Witness) => ledgers.map(({ shardId }) => witness.highest(shardId));

/** A file of both shards, as a clean stop leaves it. */
async function leaveFile(): Promise<void> {
  const witness = await open();
  await hear(witness, ledgers[0], 100);
  await hear(witness, ledgers[1], 7, 30);
  await witness.close();
}

describe("the witness after a restart", () => {
  test("knows nothing before its first checkpoint", async () => {
    expect(highest(await open())).toEqual([undefined, undefined]);
  });

  test("has the highest checkpoint of each shard at once, byte by byte (I8)", async () => {
    await leaveFile();
    expect(highest(await open())).toEqual([ledgers[0].note(100), ledgers[1].note(30)]);
  });

  test("asks for the proof from where the process before it was", async () => {
    await leaveFile();
    const witness = await open();
    const reader = new ScriptedReader(ledgers[0]);
    witness.ofShard(0).hear(ledgers[0].note(120), reader);
    await witness.ofShard(0).settled();
    expect([reader.keysAsked, reader.proofsAsked]).toEqual([0, [[100, 120]]]);
  });

  test("still has what it found, and every note of it verifies from the file alone", async () => {
    const witness = await open();
    await hear(witness, ledgers[0], 100);
    await hear(witness, ledgers[0].changed({ rewrittenFrom: 3 }), 100);
    await hear(witness, ledgers[0].changed({ generation: 2 }), 60);
    await witness.close();
    expect((await open()).findings).toEqual(witness.findings);
    expect(witness.findings).toEqual([
      "shard 0: it has signed two roots for one size of its log: 100 leaves",
      "shard 0: its log began anew as generation 2 after a loss; the one before had 100 leaves, of which at least 40 leaves are missing",
    ]);
  });
});

describe("the file", () => {
  test("is written at the next tick, then once a second at most, and holds the newest of each write", async () => {
    const witness = await open();
    await hear(witness, ledgers[0], 10);
    witness.tick();
    await vi.waitFor(() => expect(readFileSync(file, "utf8")).toContain("\\n10\\n"));
    await hear(witness, ledgers[0], 11, 12);
    clock.advance(times.fileEveryMs - 1);
    witness.tick();
    expect(readFileSync(file, "utf8")).toContain("\\n10\\n");
    clock.advance(1);
    await hear(witness, ledgers[0], 13);
    witness.tick();
    await vi.waitFor(() => expect(readFileSync(file, "utf8")).toContain("\\n13\\n"));
    await witness.close();
    expect(readdirSync(stateFolder)).toEqual(["checkpoints.json"]);
  });

  test("has all that was seen after a clean stop, however soon it comes", async () => {
    const witness = await open();
    await hear(witness, ledgers[0], 10);
    witness.tick();
    await hear(witness, ledgers[0], 11);
    await witness.close();
    expect((await open()).highest(0)).toEqual(ledgers[0].note(11));
  });

  test("that cannot be written is said loudly once, tried again, and stops nothing", async () => {
    const witness = await open();
    rmSync(stateFolder, { recursive: true });
    const error = vi.spyOn(log, "error");
    await hear(witness, ledgers[0], 10);
    await witness.close();
    await witness.close();
    expect(error).toHaveBeenCalledTimes(1);
    expect(witness.highest(0)).toEqual(ledgers[0].note(10));
  });
});

describe("a damaged file is set aside with a loud word, and what verifies in it is kept:", () => {
  const both = [ledgers[0].note(100), ledgers[1].note(30)];
  const none = [undefined, undefined];
  const firstOnly = [ledgers[0].note(100), undefined];
  const bad: readonly { what: string; change: (text: string) => string; kept: readonly unknown[] }[] = [
    { what: "cut short", change: (text) => text.slice(0, text.length / 2), kept: none },
    { what: "empty", change: () => "", kept: none },
    { what: "not JSON", change: () => "checkpoints", kept: none },
    { what: "null", change: () => "null", kept: none },
    {
      what: "of another schema",
      change: (text) => text.replace('"schema_version": 1', '"schema_version": 2'),
      kept: none,
    },
    { what: "an entry that is none", change: (text) => text.replace('"shards": [', '"shards": [7,'), kept: both },
    { what: "a smaller size put in", change: (text) => text.replace("\\n30\\n", "\\n29\\n"), kept: firstOnly },
    {
      what: "another shard's number",
      change: (text) => text.replace('"shard_id": 1', '"shard_id": 2'),
      kept: firstOnly,
    },
    { what: "a key that is none", change: (text) => text.replace("test/shard/1+", "test/shard/1+0"), kept: firstOnly },
    {
      what: "losses that are no list",
      change: (text) => text.replace('"shard_id": 1', '"losses": 1, "shard_id": 1'),
      kept: firstOnly,
    },
  ];
  for (const { what, change, kept } of bad) {
    test(what, async () => {
      await leaveFile();
      const damaged = change(readFileSync(file, "utf8"));
      writeFileSync(file, damaged);
      const error = vi.spyOn(log, "error");
      const witness = await open();
      expect(highest(witness)).toEqual(kept);
      expect(error).toHaveBeenCalledTimes(1);
      const aside = readdirSync(stateFolder).filter((name) => name.startsWith("checkpoints.json.damaged-"));
      expect(aside.map((name) => readFileSync(join(stateFolder, name), "utf8"))).toEqual([damaged]);
      // The next start has nothing to complain of.
      expect(highest(await open())).toEqual(kept);
      expect(error).toHaveBeenCalledTimes(1);
    });
  }

  test("of another deployment", async () => {
    await leaveFile();
    expect(highest(await open("elsewhere"))).toEqual(none);
  });
});

test("a folder that cannot be made stops the start", async () => {
  writeFileSync(join(folder, "not"), "");
  await expect(open()).rejects.toThrow(/ENOTDIR|EEXIST/);
});
