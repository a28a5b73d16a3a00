import { expect, test } from "vitest";
import { EndedWriters, HeadWatch } from "./spare-watch.ts";

const at = (writerEpoch: number, batch: number, more = {}) => ({
  writerEpoch,
  batch,
  writer: "shard-0-a/1f9c",
  resignedEpoch: 0,
  ...more,
});
const nobodyEnded = new EndedWriters(() => false);
const watch = (ended = nobodyEnded) => new HeadWatch(3_000, ended);

/** One that has listened to the other nodes already. */
function listener(ended = nobodyEnded): HeadWatch {
  const spare = watch(ended);
  spare.vacancyOf(at(1, 0), -1_000);
  return spare;
}

test("silence lasts from the first look at a head that does not move", () => {
  const spare = watch();
  expect([100, 600, 3_000, 3_100].map((nowMs) => spare.vacancyOf(at(1, 5), nowMs))).toEqual([
    undefined,
    undefined,
    undefined,
    "silence",
  ]);
});

for (const [name, head] of [
  ["a new batch", at(1, 6)],
  ["another writer at the same batch", at(2, 5)],
] as const) {
  test(`${name} ends the silence (I6)`, () => {
    const spare = watch();
    spare.vacancyOf(at(1, 5), 0);
    expect(spare.vacancyOf(head, 2_900)).toBeUndefined();
    expect(spare.vacancyOf(head, 5_800)).toBeUndefined();
    expect(spare.vacancyOf(head, 5_900)).toBe("silence");
  });
}

test("a Postgres that did not answer says nothing about its writer: silence begins anew", () => {
  const spare = watch();
  spare.vacancyOf(at(1, 5), 0);
  spare.forget();
  expect(spare.vacancyOf(at(1, 5), 9_000)).toBeUndefined();
});

test("a shard that never had a writer needs one at once", () => {
  expect(watch().vacancyOf(at(0, 0), 0)).toBe("no writer yet");
});

test("a writer that has resigned is followed at once; the resignation of an earlier one says nothing", () => {
  expect(listener().vacancyOf(at(4, 5, { resignedEpoch: 4 }), 0)).toBe("the writer has resigned");
  expect(listener().vacancyOf(at(5, 5, { resignedEpoch: 4 }), 0)).toBeUndefined();
});

test("a spare that has just begun to watch listens to the other nodes before it follows a writer that has resigned (I8)", () => {
  const spare = watch();
  const looks = [0, 500, 999, 1_000].map((nowMs) => spare.vacancyOf(at(4, 5, { resignedEpoch: 4 }), nowMs));
  expect(looks).toEqual([undefined, undefined, undefined, "the writer has resigned"]);
});

test("a writer whose process discovery knows to have ended is followed at once, another process is not", () => {
  const ended = new EndedWriters((process) => process === "shard-0-a/1f9c");
  expect(listener(ended).vacancyOf(at(4, 5), 0)).toBe("the writer's process has ended");
  expect(listener(ended).vacancyOf(at(4, 5, { writer: "shard-0-a/77aa" }), 0)).toBeUndefined();
});

test("a registry that calls living writers dead deposes at most one in ten seconds; silence still counts", () => {
  const ended = new EndedWriters(() => true);
  const spare = listener(ended);
  expect(spare.vacancyOf(at(4, 5), 0)).toBe("the writer's process has ended");
  ended.heeded(0);
  for (const nowMs of [200, 2_900]) expect(spare.vacancyOf(at(4, 5), nowMs)).toBeUndefined();
  expect(spare.vacancyOf(at(4, 5), 3_000)).toBe("silence");
  expect(spare.vacancyOf(at(5, 6), 9_900)).toBeUndefined();
  expect(spare.vacancyOf(at(5, 7), 10_000)).toBe("the writer's process has ended");
});
