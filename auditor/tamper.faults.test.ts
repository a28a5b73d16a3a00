/**
 * The worst that can be done: an older copy of the whole database, a forged log signed with the stolen key, another key. Each is
 * found by what the auditor remembers, and named (I8).
 */
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeLedgerKey, generateLedgerKey } from "#proto/ledger/signed-note.ts";
import { TamperStory, tampered } from "./tamper-story.ts";

let story: TamperStory;

beforeAll(async () => {
  story = await TamperStory.start();
  await story.untilSigned();
  expect(await story.found()).toEqual([]);
});

afterAll(() => story?.[Symbol.asyncDispose]());

const servers = [`shard-${tampered}-primary`, `shard-${tampered}-standby`];

/** A copy of what the auditor remembers: of a forgery that was signed, it would keep the proof for ever. */
function stateCopy(name: string): { readonly stateFile: string } {
  const stateFile = join(story.folder, name);
  cpSync(story.stateFile, stateFile);
  return { stateFile };
}

async function withServersStopped(work: (folders: readonly string[]) => void): Promise<void> {
  const { cluster } = story.story;
  for (const name of servers) await cluster.stopProcess(name);
  work(servers.map((name) => join(realpathSync(cluster.paths.postgres), name)));
  for (const name of servers) await cluster.startProcess(name);
  await cluster.untilSynchronous(tampered);
}

test("a shard restored from an older copy of its servers lacks leaves, and they are named", async () => {
  const older = await story.signedLeaves();
  await story.stopShard();
  await withServersStopped((folders) => {
    // Postgres wants its own user and its own permissions.
    for (const folder of folders) execFileSync("cp", ["-a", folder, `${folder}.older`]);
  });
  await story.startShard();
  await story.story.cast("town", 400);
  await story.untilSigned();
  const leaves = await story.signedLeaves();
  expect(await story.found()).toEqual([]);
  await story.stopShard();
  await withServersStopped((folders) => {
    for (const folder of folders) {
      renameSync(folder, `${folder}.newer`);
      renameSync(`${folder}.older`, folder);
    }
  });
  expect(await story.found()).toContain(`LEAVES_MISSING shard ${tampered} leaf ${older}-${leaves - 1}`);
  await withServersStopped((folders) => {
    for (const folder of folders) {
      rmSync(folder, { recursive: true });
      renameSync(`${folder}.newer`, folder);
    }
  });
  await story.startShard();
  expect(await story.found()).toEqual([]);
});

test("a log rewritten from a leaf on and signed with the stolen key is a second root of one size, whatever the database says", async () => {
  const leaves = await story.signedLeaves();
  const honest = stateCopy("honest.json");
  const leaf = leaves - 10;
  await story.stopShard();
  const [before] = await story.sql<{ ballot: Buffer }>(`SELECT ballot FROM urna.votes WHERE leaf_index = ${leaf}`);
  const change = `UPDATE urna.votes SET ballot = $1 WHERE leaf_index = ${leaf}`;
  await story.sql(change, [Buffer.from(before?.ballot[1] === 1 ? "0002" : "0001", "hex")]);
  await story.rewrite();
  await story.forgetWitnesses();
  // The shard knows nothing of the log before, finds its own one coherent, and signs it.
  await story.startShard();
  const forged = stateCopy("forged.json");
  const found = await story.found(forged);
  const contradiction = found.find((place) => place.startsWith(`CHECKPOINTS_CONTRADICT shard ${tampered} leaf `));
  expect(contradiction).toMatch(new RegExp(`-${leaves - 1}$`));
  expect(found.some((place) => place.startsWith(`CHECKPOINT_CONTRADICTED shard ${tampered} leaf `))).toBe(true);
  expect(found.filter((place) => place.includes("shard 0"))).toEqual([]);
  // The tally counts what the forged log says.
  expect(found.filter((place) => place.startsWith("TALLY_DIFFERS"))).toEqual([]);
  await story.stopShard();
  await story.sql(change, [before?.ballot]);
  await story.rewrite();
  await story.forgetWitnesses();
  await story.startShard();
  expect(await story.found(honest)).toEqual([]);
  // Both notes together stay the proof.
  expect(await story.found(forged)).toContain(contradiction);
});

test("a shard that signs with another key is found by the key that was trusted first, and by a key that is given", async () => {
  const { paths } = story.story.cluster;
  const keyFile = paths.shardKeyFile(tampered);
  const kept = readFileSync(keyFile);
  const trusted = (await story.audit()).shards.map(({ verifierKey = "" }) => verifierKey);
  await story.stopShard();
  writeFileSync(keyFile, encodeLedgerKey(generateLedgerKey()));
  await story.sql("UPDATE urna.head SET key_fingerprint = ''");
  await story.forgetWitnesses();
  await story.startShard();
  const stateFile = join(story.folder, "another-key.json");
  cpSync(story.stateFile, stateFile);
  expect(await story.found({ stateFile })).toContain(`KEY_CHANGED shard ${tampered}`);
  const given = { stateFile: join(story.folder, "no-state.json"), verifierKeys: trusted };
  expect(await story.found(given)).toContain(`KEY_CHANGED shard ${tampered}`);
  // Who trusts on first use, and has seen nothing before, finds nothing.
  expect(await story.found({ stateFile: join(story.folder, "first-use.json") })).toEqual([]);
  await story.stopShard();
  writeFileSync(keyFile, kept);
  await story.sql("UPDATE urna.head SET key_fingerprint = ''");
  await story.forgetWitnesses();
  await story.startShard();
  expect(await story.found()).toEqual([]);
});
