import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type AuditState, AuditStateError, emptyAuditState, readAuditState, writeAuditState } from "./audit-state.ts";

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "urna-audit-state-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

const note = (size: number, root = "a") => `urna/shard/0\n${size}\n${root}\n\n— urna/shard/0 x\n`;
const state = (checkpoints: readonly string[]): AuditState => ({
  shards: new Map([[0, { verifierKey: "urna/shard/0+x+y", checkpoints, results: ["a result"] }]]),
  definitions: new Map([["town", "00ff"]]),
});

test("is read as it was written, and where there is no file it is empty", async () => {
  const file = join(folder(), "state.json");
  expect(await readAuditState(file)).toEqual(emptyAuditState);
  await writeAuditState(file, state([note(1)]));
  expect(await readAuditState(file)).toEqual(state([note(1)]));
  await writeAuditState(file, state([note(2)]));
  expect(await readAuditState(file)).toEqual(state([note(2)]));
});

test("leaves nothing beside the file", async () => {
  const path = folder();
  await writeAuditState(join(path, "state.json"), state([]));
  expect(readdirSync(path)).toEqual(["state.json"]);
});

test("of too many checkpoints older ones are let go; the newest stay, and so do two of one size, which prove a forgery", async () => {
  const file = join(folder(), "state.json");
  const twins = [note(4, "a"), note(4, "b")];
  await writeAuditState(file, state([...twins, ...Array.from({ length: 1_500 }, (_, i) => note(i + 5))]));
  const kept = (await readAuditState(file)).shards.get(0)?.checkpoints ?? [];
  expect(kept.length).toBeLessThan(1_200);
  for (const twin of twins) expect(kept).toContain(twin);
  for (const size of [1_000, 1_200, 1_504]) expect(kept).toContain(note(size));
});

const whole = { schema_version: 1, shards: [], definitions: {} };
const shard = { shard_id: 0, verifier_key: "k", checkpoints: [], results: [] };

const damaged: readonly { what: string; text: string }[] = [
  { what: "nothing", text: "" },
  { what: "what is not JSON", text: "{" },
  { what: "a list", text: "[]" },
  { what: "another schema version", text: JSON.stringify({ ...whole, schema_version: 2 }) },
  { what: "no shards", text: JSON.stringify({ ...whole, shards: undefined }) },
  { what: "a shard that is a number", text: JSON.stringify({ ...whole, shards: [1] }) },
  { what: "a shard without key", text: JSON.stringify({ ...whole, shards: [{ ...shard, verifier_key: 7 }] }) },
  { what: "a shard without number", text: JSON.stringify({ ...whole, shards: [{ ...shard, shard_id: "0" }] }) },
  {
    what: "checkpoints that are no texts",
    text: JSON.stringify({ ...whole, shards: [{ ...shard, checkpoints: [1] }] }),
  },
  { what: "results that are no list", text: JSON.stringify({ ...whole, shards: [{ ...shard, results: {} }] }) },
  { what: "definitions that are no texts", text: JSON.stringify({ ...whole, definitions: { town: 1 } }) },
];

test.each(damaged)("a file with $what is refused by name, and is left as it is", async ({ text }) => {
  const file = join(folder(), "state.json");
  writeFileSync(file, text);
  const error = await readAuditState(file).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(AuditStateError);
  expect(String(error)).toContain(file);
});

test("a file that cannot be read or written is refused by name", async () => {
  const path = folder();
  await expect(readAuditState(path)).rejects.toThrow(path);
  const nowhere = join(path, "no", "state.json");
  await expect(writeAuditState(nowhere, emptyAuditState)).rejects.toThrow(nowhere);
});
