import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";
import { auditFindingLengthMax, auditFindingsMax } from "#proto/limits.ts";
import { ballotFor, CREATED, cell, leaf, OPEN, sampleDefinition } from "./sample-election.ts";
import { ScriptedLedger } from "./scripted-ledger.ts";
import { type RunningTally, ScriptedMesh } from "./scripted-mesh.ts";

const ledger = new ScriptedLedger(0);
const rewritten = ledger.changed({ rewrittenFrom: 5 });
let mesh: ScriptedMesh;
let tally: RunningTally;

beforeEach(async () => {
  mesh = await ScriptedMesh.start({ shards: 2, times: { behindMsMax: 100 } });
  for (const log of mesh.logs) {
    log.definitions.set("mayor", sampleDefinition());
    log.append({ state: CREATED }, { state: OPEN }, vote());
  }
  mesh.node(0).ledger = { of: ledger, size: 20 };
  tally = await mesh.openTally();
});

afterEach(() => mesh.stop());

const vote = () => ({ deltas: ballotFor(leaf.hill, cell.ada) });

/** The shard signs this with its next batch. */
function sign(of: ScriptedLedger, size: number): void {
  mesh.node(0).ledger = { of, size };
  mesh.log(0).append(vote());
}

const highest = async (shardId = 0) => Buffer.from((await tally.witness.getHighestCheckpoint({ shardId })).signedNote);

const highestOnceAt = (size: number) =>
  vi.waitFor(async () => expect(await highest()).toEqual(ledger.note(size)), { timeout: 5_000, interval: 10 });

const findingOnce = async (pattern: RegExp) => {
  const { cut } = await tally.rootOnce((root) => root.cut?.auditFindings.some((text) => pattern.test(text)) === true);
  return cut?.auditFindings;
};

test("the tally serves the largest checkpoint that came with the counts, and none of a shard that signs none", async () => {
  await highestOnceAt(20);
  sign(ledger, 33);
  await highestOnceAt(33);
  expect(await highest(1)).toEqual(Buffer.alloc(0));
  expect(await highest(77)).toEqual(Buffer.alloc(0));
  expect(await tally.health(WitnessService.typeName)).toBe("SERVING");
});

test("a tally that was restarted has it at once, before any shard says a word (I8)", async () => {
  await highestOnceAt(20);
  await tally.stop();
  mesh.node(0).ledger = undefined;
  tally = await mesh.openTally();
  expect(await highest()).toEqual(ledger.note(20));
});

test("a log that was rewritten is on every frame and in the metrics, and changes nothing that was kept (I8)", async () => {
  await highestOnceAt(20);
  sign(rewritten, 20);
  expect(await findingOnce(/two roots/)).toEqual([
    "shard 0: it has signed two roots for one size of its log: 20 leaves",
  ]);
  sign(rewritten, 25);
  await findingOnce(/does not continue/);
  expect(await highest()).toEqual(ledger.note(20));
  const metrics = await (await fetch(tally.metricsUrl)).text();
  expect(metrics).toMatch(/^urna_tally_refused_checkpoints_total\{shard="0",reason="two-roots"\} [1-9]/m);
  expect(metrics).toMatch(/^urna_tally_refused_checkpoints_total\{shard="0",reason="not-continued"\} [1-9]/m);
  expect(metrics).toMatch(/^urna_tally_witnessed_leaves\{shard="0"\} 20$/m);
  expect(metrics).toMatch(/^urna_tally_audit_findings 2$/m);
});

test("a shard whose database went back is asked for its checkpoint, and people see how many leaves are gone (I8)", async () => {
  await highestOnceAt(20);
  await tally.rootOnce(({ cut }) => cut?.vector[0]?.batch === 3n);
  mesh.node(0).ledger = { of: ledger, size: 18 };
  mesh.log(0).lose(1);
  mesh.node(0).cutStreams();
  expect(await findingOnce(/shorter/)).toEqual([
    "shard 0: its log is shorter than a checkpoint it has signed: 2 leaves are missing",
  ]);
}, 15_000);

describe("when an operator accepts the loss of a shard's tail, the tally folds everything anew (I7),", () => {
  const successor = ledger.changed({ generation: 2 });
  const lose = (...instead: readonly ReturnType<typeof vote>[]) => {
    mesh.log(0).lose(2);
    mesh.log(0).append({ state: OPEN }, ...instead);
    mesh.node(0).ledger = { of: successor, size: 18 };
    mesh.node(0).cutStreams();
  };

  beforeEach(async () => {
    await highestOnceAt(20);
    mesh.log(0).append(vote(), vote());
    await tally.rootOnce(({ cut, region }) => cut?.vector.length === 2 && region?.ballots === 4n);
  });

  async function restarted(): Promise<string> {
    const reason = await tally.toStartAnew;
    await tally.stop();
    tally = await mesh.openTally();
    return reason;
  }

  test("also while the new log is still behind what was folded", async () => {
    lose();
    expect(await restarted()).toMatch(/shard 0 goes on as generation 2/);
    const { cut } = await tally.rootOnce(({ region }) => region?.ballots === 2n);
    expect(cut?.auditFindings).toEqual([expect.stringMatching(/generation 2 .* at least 2 leaves are missing$/)]);
    expect(await highest()).toEqual(successor.note(18));
  });

  test("and folds none of the new log on top of the old", async () => {
    lose(vote(), vote(), vote());
    const seen: bigint[] = [];
    const watch = async () => {
      for await (const { region } of tally.client.watchTally({ electionId: "mayor" })) seen.push(region?.ballots ?? 0n);
    };
    const watched = expect(watch()).rejects.toMatchObject({ reason: "TALLY_UNAVAILABLE" });
    await tally.toStartAnew;
    await tally.stop();
    await watched;
    expect([...new Set(seen)]).toEqual([4n]);
    tally = await mesh.openTally();
    await tally.rootOnce(({ region }) => region?.ballots === 5n);
  });

  test("but not when it was away meanwhile and has folded nothing yet", async () => {
    await tally.stop();
    lose();
    tally = await mesh.openTally();
    await tally.rootOnce(({ region, cut }) => region?.ballots === 2n && cut?.auditFindings.length === 1);
    mesh.log(0).append(vote());
    await tally.rootOnce(({ region }) => region?.ballots === 3n);
  });
}, 15_000);

describe("a report of an auditor", () => {
  const verifiedOf = (root: Awaited<ReturnType<RunningTally["root"]>>) =>
    root.cut?.verifiedThrough.map(({ shardId, batch }) => [shardId, Number(batch)]);

  test("is in every frame from then on, over gRPC and over Connect alike, and grows with what is read (I7)", async () => {
    await tally.rootOnce(({ cut }) => cut?.vector.length === 2 && cut.vector.every(({ batch }) => batch === 3n));
    const verified = [
      { shardId: 1, batch: 2n },
      { shardId: 0, batch: 4n },
    ];
    await tally.witness.reportVerified({ verified, findings: ["shard 1: leaf 9 is another"] });
    const root = await tally.rootOnce(({ cut }) => cut?.verifiedThrough.length === 2);
    expect(verifiedOf(root)).toEqual([
      [0, 3],
      [1, 2],
    ]);
    const web = await tally.web.getTally({ electionId: "mayor" });
    expect(web.cut?.auditFindings).toEqual(["shard 1: leaf 9 is another"]);
    mesh.log(0).append(vote(), vote());
    await tally.rootOnce((grown) => verifiedOf(grown)?.[0]?.[1] === 4);
    for await (const { cut } of tally.client.watchTally({ electionId: "mayor" })) {
      expect(cut?.verifiedThrough.length).toBe(2);
      break;
    }
  });

  const long = "x".repeat(auditFindingLengthMax + 1);
  const bad = [
    { what: "of a shard that is not", request: { verified: [{ shardId: 2, batch: 1n }] }, says: "no shard 2" },
    {
      what: "that names a shard twice",
      request: { verified: [0, 0].map((shardId) => ({ shardId, batch: 1n })) },
      says: "named twice",
    },
    { what: "with a finding too long", request: { findings: ["ok", long] }, says: "501 characters" },
    {
      what: "with too many findings",
      request: { findings: Array.from({ length: auditFindingsMax + 1 }, () => "x") },
      says: "101 findings",
    },
    { what: "of an auditor with a long name", request: { auditor: "x".repeat(65) }, says: "64 characters" },
  ];
  for (const { what, request, says } of bad) {
    test(`${what} is refused`, async () => {
      await expect(tally.witness.reportVerified(request)).rejects.toMatchObject({
        reason: "INVALID_REQUEST",
        message: expect.stringContaining(says),
      });
    });
  }

  test("of the largest size is taken", async () => {
    const findings = Array.from({ length: auditFindingsMax }, () => "ü".repeat(auditFindingLengthMax));
    await tally.witness.reportVerified({ findings });
    await tally.rootOnce(({ cut }) => cut?.auditFindings.length === 1);
  });
});
