import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { openStaticDirectory, parseDirectory } from "#mesh/static-directory.ts";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function content(epoch: number, nodes = ["127.0.0.1:1"]) {
  const shards = [{ id: 0, slots: [[0, 16_383]], nodes }];
  return { schema_version: 1, deployment: "d", map: { epoch, shards }, tally: "127.0.0.1:2" };
}

async function open() {
  const folder = await mkdtemp(join(tmpdir(), "urna-directory-"));
  const file = join(folder, "directory.json");
  const put = async (text: string) => {
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  };
  await put(JSON.stringify(content(1)));
  const directory = await openStaticDirectory(file);
  closers.push(
    () => rm(folder, { recursive: true }),
    () => directory.close(),
  );
  return { directory, put };
}

test("the file is read, and a file that takes its place is noticed", async () => {
  const { directory, put } = await open();
  expect(directory.current).toEqual({
    deployment: "d",
    map: { epoch: 1, shards: [{ shardId: 0, slots: [[0, 16_383]], nodes: ["127.0.0.1:1"] }] },
    tally: "127.0.0.1:2",
  });
  const changed = new Promise((resolve) => directory.onChange(resolve));
  await put(JSON.stringify(content(2, ["127.0.0.1:3"])));
  expect(await changed).toMatchObject({ map: { epoch: 2 } });
});

test("refresh reads at once; listeners hear only of changes", async () => {
  const { directory, put } = await open();
  let changes = 0;
  directory.onChange(() => {
    changes += 1;
  });
  await directory.refresh();
  expect(changes).toBe(0);
  await put(JSON.stringify(content(5)));
  await directory.refresh();
  expect(directory.current.map.epoch).toBe(5);
});

const bad: [string, string][] = [
  ["half a file", '{"schema_version":1'],
  ["an older epoch", JSON.stringify(content(0))],
  ["a slot without an owner", JSON.stringify(content(9)).replace("16383", "16382")],
];

for (const [title, text] of bad) {
  test(`${title} leaves the last good view in place`, async () => {
    const { directory, put } = await open();
    await put(text);
    await directory.refresh();
    expect(directory.current.map.epoch).toBe(1);
  });
}

test("faults name the field", () => {
  const { tally: _tally, ...without } = content(1);
  expect(() => parseDirectory(JSON.stringify(without))).toThrow("tally must be a text");
  expect(() => parseDirectory(JSON.stringify(content(1, ["nowhere"])))).toThrow('map.shards[0].nodes "nowhere"');
});
