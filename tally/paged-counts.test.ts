import { expect, test } from "vitest";
import { PagedCounts } from "./paged-counts.ts";

test("what was frozen does not change when more is added", () => {
  const counts = new PagedCounts(10_000);
  counts.add(5, 2);
  const before = counts.freeze();
  counts.add(5, 3);
  counts.add(9_999, 1);
  const after = counts.freeze();
  counts.add(5, 1);
  expect([before.get(5), before.get(9_999)]).toEqual([2, 0]);
  expect([after.get(5), after.get(9_999)]).toEqual([5, 1]);
  expect(counts.get(5)).toBe(6);
});

test("freezing twice with nothing in between gives the same object", () => {
  const counts = new PagedCounts(10);
  counts.add(1, 1);
  const frozen = counts.freeze();
  counts.add(1, 0);
  expect(counts.freeze()).toBe(frozen);
});

test.each([-1, 0.5, Number.NaN, 2 ** 53])("adding %d is refused: a count never falls and is always exact (I7)", (n) => {
  const counts = new PagedCounts(10);
  expect(() => counts.add(0, n)).toThrow(RangeError);
  expect(counts.get(0)).toBe(0);
});

test("a cell beyond the last page is refused", () => {
  expect(() => new PagedCounts(10).add(5_000, 1)).toThrow(RangeError);
});

test("sums add the cells at the given offsets", () => {
  const counts = new PagedCounts(100);
  for (let i = 0; i < 100; i++) counts.add(i, i);
  expect(counts.freeze().sum(10, [0, 2, 89])).toBe(10 + 12 + 99);
});

test("two frozen rows differ exactly at the cells that differ, also where one has no page", () => {
  const [a, b] = [new PagedCounts(20_000), new PagedCounts(20_000)];
  a.add(1, 7);
  b.add(1, 7);
  a.add(2, 1);
  b.add(15_000, 4);
  expect([...a.freeze().differingCells(b.freeze())]).toEqual([2, 15_000]);
});
