import { expect, test } from "vitest";
import { formatLogOrigin, parseLogOrigin } from "./log-origin.ts";

for (const [text, origin] of [
  ["urna/shard/0", { deployment: "urna", shardId: 0, generation: 1 }],
  ["town.example/hall/shard/17/2", { deployment: "town.example/hall", shardId: 17, generation: 2 }],
] as const) {
  test(`"${text}" is the name of a log, read and written alike`, () => {
    expect(parseLogOrigin(text)).toEqual(origin);
    expect(formatLogOrigin(origin)).toBe(text);
  });
}

for (const text of [
  "",
  "urna",
  "/shard/0",
  "urna/shard/",
  "urna/shard/01",
  "urna/shard/0/1",
  "urna/shard/0/0",
  "urna/shard/x",
]) {
  test(`"${text}" is not the name of a log`, () => {
    expect(parseLogOrigin(text)).toBeUndefined();
  });
}
