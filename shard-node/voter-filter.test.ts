import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { filterVotersMax, VoterFilter } from "./voter-filter.ts";

const bytes = 16;

function known(filter: VoterFilter, nullifiers: Buffer): number {
  let count = 0;
  for (let at = 0; at < nullifiers.length; at += bytes) if (filter.mayHaveVoted(nullifiers, at)) count += 1;
  return count;
}

function addAll(filter: VoterFilter, nullifiers: Buffer): void {
  for (let at = 0; at < nullifiers.length; at += bytes) filter.add(nullifiers, at);
}

test("whoever has voted is always known, and hardly anybody else, also when the filter has grown (I2)", () => {
  const filter = new VoterFilter(true);
  const voters = randomBytes(200_000 * bytes);
  addAll(filter, voters);
  expect(known(filter, voters)).toBe(200_000);
  expect(known(filter, randomBytes(200_000 * bytes))).toBeLessThan(100);
});

test("until those who voted before have been added, anybody may have voted (I2)", () => {
  const filter = new VoterFilter(false);
  const [before, after] = [randomBytes(100 * bytes), randomBytes(100 * bytes)];
  addAll(filter, after);
  expect(filter.filling).toBe(true);
  expect(known(filter, before)).toBe(100);
  addAll(filter, before);
  filter.filled();
  expect(filter.filling).toBe(false);
  expect(known(filter, before) + known(filter, after)).toBe(200);
  expect(known(filter, randomBytes(100 * bytes))).toBe(0);
});

test("a filter that is full gives up, and then anybody may have voted (I2, I9)", () => {
  const filter = new VoterFilter(true);
  const some = randomBytes(4_096 * bytes);
  for (let i = 0; i <= filterVotersMax; i += 4_096) addAll(filter, some);
  expect(known(filter, randomBytes(100 * bytes))).toBe(100);
  expect(filter.filling).toBe(false);
});
