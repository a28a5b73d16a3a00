/** `urna audit --follow`, by what it does: it goes on, it tells at once, and the tally shows what it says (I7, I8). */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readSnapshot } from "#bench/tally-check.ts";
import { waitFor } from "#deploy/wait-for.ts";
import type { Finding } from "./audit-finding.ts";
import { AuditWatch } from "./audit-watch.ts";
import { placeOf, TamperStory, tampered } from "./tamper-story.ts";

const limitMs = 20_000;
/** Within which a change of any old row must be found. */
const foundMs = 10_000;

let story: TamperStory;

beforeAll(async () => {
  story = await TamperStory.start();
});

afterAll(() => story?.[Symbol.asyncDispose]());

type Following = { readonly watch: AuditWatch; readonly findings: Finding[]; stop(): Promise<boolean> };

function follow(): Following {
  const ending = new AbortController();
  const findings: Finding[] = [];
  const watch = new AuditWatch({
    ...story.options(),
    stateFile: join(story.folder, "watch.json"),
    auditor: "test",
    onFinding: (finding) => findings.push(finding),
    onReport: () => {},
    onTrouble: () => {},
    signal: ending.signal,
  });
  const running = watch.run();
  return {
    watch,
    findings,
    stop: () => {
      ending.abort();
      return running;
    },
  };
}

const shownCut = async () => (await readSnapshot(story.story.talliesAt(0), "town")).cut;

const verifiedOn = (watch: AuditWatch) => watch.view.verified.get(tampered) ?? 0;

async function untilVerified(watch: AuditWatch, batch: number): Promise<void> {
  await waitFor(`batch ${batch} to be verified`, limitMs, () => (verifiedOn(watch) >= batch ? true : undefined));
}

test("new batches are verified as they come, and the tally shows how far (I7)", async () => {
  const following = follow();
  try {
    await untilVerified(following.watch, 1);
    await story.story.cast("town", 100);
    const [head] = await story.sql<{ batch: number }>("SELECT batch_number::int AS batch FROM urna.head");
    await untilVerified(following.watch, head?.batch ?? 0);
    const cut = await waitFor("the tally to show it", limitMs, async () => {
      const shown = await shownCut();
      const position = shown.verifiedThrough.find(({ shardId }) => shardId === tampered);
      return Number(position?.batch ?? 0) >= (head?.batch ?? 0) ? shown : undefined;
    });
    expect(cut.auditFindings).toEqual([]);
    expect(cut.auditSilentSince).toBeUndefined();
  } finally {
    expect(await following.stop()).toBe(true);
  }
  expect(following.findings).toEqual([]);
});

test("a changed row is told within ten seconds, by shard and leaf, and the tally shows it until it is undone", async () => {
  const following = follow();
  const leaf = 200;
  try {
    await untilVerified(following.watch, 1);
    const verified = verifiedOn(following.watch);
    const swap =
      "UPDATE urna.votes SET ballot = CASE ballot WHEN $1 THEN $2::bytea ELSE $1::bytea END WHERE leaf_index = $3";
    const [before] = await story.sql<{ ballot: Buffer }>(`SELECT ballot FROM urna.votes WHERE leaf_index = ${leaf}`);
    await story.sql(swap, [Buffer.from("0001", "hex"), Buffer.from("0002", "hex"), leaf]);
    const changedAtMs = performance.now();
    const place = `ROW_CHANGED shard ${tampered} leaf ${leaf}`;
    await waitFor("the change to be found", limitMs, () => {
      return following.findings.map(placeOf).includes(place) ? true : undefined;
    });
    expect(performance.now() - changedAtMs).toBeLessThan(foundMs);
    const shown = await waitFor("the tally to show it", limitMs, async () => {
      const { auditFindings } = await shownCut();
      return auditFindings.length > 0 ? auditFindings : undefined;
    });
    expect(shown).toContainEqual(expect.stringContaining(`shard ${tampered}, leaf ${leaf}: `));
    await story.sql("UPDATE urna.votes SET ballot = $1 WHERE leaf_index = $2", [before?.ballot, leaf]);
    await waitFor("the tally to show nothing", limitMs, async () =>
      (await shownCut()).auditFindings.length === 0 ? true : undefined,
    );
    await untilVerified(following.watch, verified + 1);
  } finally {
    // What was found stays found, also once it has been undone.
    expect(await following.stop()).toBe(false);
  }
});
