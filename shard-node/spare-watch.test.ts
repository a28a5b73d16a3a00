import { expect, test } from "vitest";
import { Silence } from "./spare-watch.ts";

const at = (writerEpoch: number, batch: number) => ({ writerEpoch, batch });

test("silence lasts from the first look at a head that does not move", () => {
  const silence = new Silence();
  expect([100, 600, 3_200].map((nowMs) => silence.lastsMs(at(1, 5), nowMs))).toEqual([0, 500, 3_100]);
});

for (const [name, head] of [
  ["a new batch", at(1, 6)],
  ["another writer at the same batch", at(2, 5)],
] as const) {
  test(`${name} ends the silence (I6)`, () => {
    const silence = new Silence();
    silence.lastsMs(at(1, 5), 0);
    expect(silence.lastsMs(head, 2_900)).toBe(0);
    expect(silence.lastsMs(head, 3_000)).toBe(100);
  });
}

test("a Postgres that did not answer says nothing about its writer: silence begins anew", () => {
  const silence = new Silence();
  silence.lastsMs(at(1, 5), 0);
  silence.forget();
  expect(silence.lastsMs(at(1, 5), 9_000)).toBe(0);
});
