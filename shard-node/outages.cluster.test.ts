/** One shard whose Postgres, or whose settings, fail: nothing is acknowledged that is not on both machines (I1). */
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import type { RigElection } from "#bench/rig-election.ts";
import type { ShardRig } from "#bench/shard-rig.ts";
import { all, outcomesOf, sharedRig, underLoad, watched } from "./shared-rig.ts";

const rigOf = sharedRig();
let election: RigElection | undefined;
const electionOf = async (rig: ShardRig) => {
  election ??= await rig.open("standby");
  return election;
};

const acknowledged = /^(RECORDED|REPEAT)$/;

/** While it is broken nothing is acknowledged and health says why; healed, all waiting votes are settled, each once. */
async function holdsBack(
  rig: ShardRig,
  story: { breaks(): Promise<void>; because: RegExp; heals(): Promise<void>; forMs?: number },
): Promise<void> {
  const [voting, writer] = [await electionOf(rig), await rig.writer()];
  await story.breaks();
  const votes = voting.fresh(50);
  const settling = watched(rig.settle(votes));
  if (story.forMs !== undefined) await delay(story.forMs);
  await writer.untilNotReady(story.because);
  await writer.untilServing(false);
  expect(settling.isOver()).toBe(false);
  await story.heals();
  for (const { outcome } of await settling.result) expect(outcome).toMatch(acknowledged);
  await writer.untilServing();
  expect(await rig.rowsOf(voting, votes)).toHaveLength(50);
  expect(outcomesOf(await rig.cast(votes))).toEqual(all(50, "REPEAT"));
}

test("with its standby stopped a shard acknowledges nothing; when it is back all waiting votes are settled (I1, I4)", async () => {
  const rig = rigOf();
  await holdsBack(rig, {
    breaks: () => rig.standby.stop(),
    because: /standby/,
    heals: () => rig.standby.start(),
    forMs: 3_000,
  });
});

const settings: readonly { setting: string; value: string; because: RegExp }[] = [
  { setting: "synchronous_commit", value: "local", because: /synchronous_commit is local/ },
  { setting: "synchronous_standby_names", value: "", because: /synchronous_standby_names is empty/ },
  { setting: "full_page_writes", value: "off", because: /full_page_writes is off/ },
  { setting: "fsync", value: "off", because: /fsync is off/ },
];

for (const { setting, value, because } of settings) {
  test(`${setting} = '${value}' behind our back: not ready, naming it, and nothing acknowledged until it is set back (I1)`, async () => {
    const rig = rigOf();
    await holdsBack(rig, {
      breaks: () => rig.alterSystem(setting, value),
      because,
      heals: () => rig.alterSystem(setting, undefined),
    });
  });
}

test("synchronous_standby_names emptied while a commit waits for the standby: released without a warning, not acknowledged (I1)", async () => {
  const rig = rigOf();
  const [voting, writer] = [await electionOf(rig), await rig.writer()];
  await writer.log.mark();
  rig.standby.freeze();
  const votes = voting.fresh(3);
  const settling = watched(rig.settle(votes));
  await rig.untilBackend("wait_event = 'SyncRep'");
  await rig.alterSystem("synchronous_standby_names", "");
  await writer.log.until(/after COMMIT no synchronous standby of a known name was connected/);
  await writer.untilNotReady(/synchronous_standby_names is empty/);
  expect(await rig.rowsOf(voting, votes)).toHaveLength(3);
  expect(settling.isOver()).toBe(false);
  await rig.alterSystem("synchronous_standby_names", undefined);
  rig.standby.thaw();
  for (const { outcome } of await settling.result) expect(outcome).toMatch(acknowledged);
  expect(await rig.rowsOf(voting, votes)).toHaveLength(3);
});

test("a receiver of WAL under a foreign name is no standby, although Postgres takes it for one (I1)", async () => {
  const rig = rigOf();
  const [{ primary_conninfo: own } = {}] = await rig.standbySql("SHOW primary_conninfo");
  const foreign = String(own).replace(/application_name=\S+/, "application_name=stranger");
  const rename = async (change: string) => {
    await rig.standbySql(`ALTER SYSTEM ${change}`);
    await rig.standbySql("SELECT pg_reload_conf()");
  };
  await holdsBack(rig, {
    breaks: async () => {
      await rename(`SET primary_conninfo = '${foreign}'`);
      await rig.alterSystem("synchronous_standby_names", "*");
      await rig.untilStandby("application_name = 'stranger' AND sync_state = 'sync'");
    },
    because: /standby/,
    heals: async () => {
      await rename("RESET primary_conninfo");
      await rig.alterSystem("synchronous_standby_names", undefined);
    },
  });
});

test("the primary's postmaster killed under load and started again: nothing acknowledged is lost, nothing doubled (I1, I2, I4)", async () => {
  const rig = rigOf();
  const before = await rig.head();
  await underLoad(rig, "postmaster-killed", async () => {
    await rig.primary.log.mark();
    await rig.primary.kill();
    await rig.primary.start();
    expect(await rig.primary.log.has(/database system was not properly shut down/)).toBe(true);
  });
  expect((await rig.head()).epoch).toBeGreaterThan(before.epoch);
});

test("one backend killed -9 under load: Postgres recovers from the crash, nothing is lost or doubled (I1, I2, I4)", async () => {
  const rig = rigOf();
  await underLoad(rig, "backend-killed", async () => {
    await rig.primary.log.mark();
    process.kill(await rig.untilBackend("backend_xid IS NOT NULL OR wait_event = 'SyncRep'"), "SIGKILL");
    await rig.primary.log.until(/all server processes terminated; reinitializing/);
  });
});
