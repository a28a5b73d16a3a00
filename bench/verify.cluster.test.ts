/** Receipts and checkpoints of a real cluster, checked from outside by the Go program: also after faults (I8). */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Story } from "./cluster-story.ts";
import { GoVerifier, goIsRequired, missingGo } from "./go-verifier.ts";
import { LedgerVisitor } from "./ledger-visitor.ts";
import { readWriters } from "./log-sizes.ts";

const missing = await missingGo();
if (missing !== undefined) console.log(`bench/verify: ${goIsRequired ? "FAILED" : "skipped"}: ${missing}`);

if (goIsRequired) {
  test("Go is here, as URNA_REQUIRE demands", () => expect(missing).toBeUndefined());
}

const startLimitMs = 500_000;
const receiptsMax = 200;

describe.skipIf(missing !== undefined)("a stranger with the Go program", () => {
  const electionId = "town";
  let folder: string;
  let story: Story;
  let visitor: LedgerVisitor;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "urna-verify-test-"));
    const go = await GoVerifier.build();
    story = await Story.start({ shards: 2, routers: 2, spares: 1 });
    visitor = await LedgerVisitor.arrive(story.routers, go, folder);
    await story.election(electionId);
  }, startLimitMs);

  afterAll(async () => {
    visitor?.close();
    await story?.[Symbol.asyncDispose]();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  /** The leaves that receipts name, by shard: at most so many each, the newest. */
  function acknowledgedLeaves(): Map<number, number[]> {
    const leaves = new Map(visitor.shardIds.map((shardId) => [shardId, new Set<number>()]));
    for (const { outcome } of story.ledger.entries) {
      if (outcome.kind !== "recorded" && outcome.kind !== "repeat") continue;
      const { logOrigin, leafIndex } = outcome.receipt;
      const shardId = visitor.shardIds.find((id) => visitor.verifierKey(id).startsWith(`${logOrigin}+`));
      if (shardId === undefined) expect.fail(`no shard has the log ${logOrigin}`);
      leaves.get(shardId)?.add(leafIndex);
    }
    return new Map([...leaves].map(([id, all]) => [id, [...all].sort((a, b) => a - b)]));
  }

  async function expectAllProved(): Promise<void> {
    for (const [shardId, leaves] of acknowledgedLeaves()) {
      expect(leaves.length).toBeGreaterThan(0);
      const every = Math.ceil(leaves.length / receiptsMax);
      const chosen = leaves.filter((_, i) => i % every === 0 || i === leaves.length - 1);
      const lines = await visitor.checkReceipts(shardId, chosen);
      expect(lines).toHaveLength(chosen.length);
      expect(lines.filter((line) => !line.startsWith("ok: "))).toEqual([]);
    }
    for (const shardId of visitor.shardIds) {
      const lines = await visitor.checkHistory(shardId);
      expect(lines.filter((line) => !line.startsWith("ok: "))).toEqual([]);
    }
  }

  /** Votes and looks without a pause while this happens. */
  async function whileVoting(event: () => Promise<void>): Promise<void> {
    const before = visitor.shardIds.map((shardId) => visitor.seen(shardId));
    await using storm = story.storm(electionId);
    const watch = visitor.watch();
    await storm.untilMore(200);
    await event();
    await storm.untilMore(200);
    await watch.stop();
    await storm.stop();
    for (const [shardId, seen] of before.entries()) expect(visitor.seen(shardId)).toBeGreaterThan(seen + 1);
  }

  test("proves every receipt, and every checkpoint to continue the one before, while votes come in (I8)", async () => {
    await whileVoting(async () => {});
    await expectAllProved();
  });

  test("cannot be given the receipt of one shard under the key of the other", async () => {
    const leaf = acknowledgedLeaves().get(0)?.[0] ?? expect.fail("shard 0 has no receipt");
    const lines = await visitor.checkReceipts(0, [leaf], visitor.verifierKey(1));
    expect(lines).toEqual([expect.stringMatching(/^refused: .* no signature by this key/)]);
  });

  test("finds nothing undone after a kill -9 of the writer and the takeover by another process (I8)", async () => {
    const before = (await readWriters(story.routers)).get(0) ?? expect.fail("shard 0 has no writer");
    await whileVoting(async () => {
      await story.kill(before.node);
      await story.healed();
    });
    const after = (await readWriters(story.routers)).get(0);
    expect(after?.writerEpoch).toBeGreaterThan(before.writerEpoch);
    await expectAllProved();
  });

  test("finds nothing undone after a kill -9 of a Postgres primary and its recovery (I8)", async () => {
    await whileVoting(async () => {
      await story.kill("shard-1-primary");
      await story.healed();
    });
    await expectAllProved();
  });

  test("sees that the signed result of each shard is at a point of its log (I7, I8)", async () => {
    await story.electionsAt(0).closeElection({ electionId }, { ...story.admin, deadlineMs: 30_000 });
    const results = await visitor.results(electionId);
    expect(results.map(({ shardId }) => shardId)).toEqual(visitor.shardIds);
    for (const { shardId, signed } of results) {
      const newest = await visitor.covered(shardId, Number(signed.size));
      expect(await visitor.checkContinues(shardId, signed, newest)).toEqual([expect.stringMatching(/^ok: /)]);
    }
  });
});
