import { describe, expect, test } from "vitest";
import type { FrameCut } from "#proto/frame-order.ts";
import { FrameOrder } from "#proto/frame-order.ts";

function cut(incarnation: bigint, number: bigint, batches: Record<number, bigint>): FrameCut {
  const vector = Object.entries(batches).map(([shardId, batch]) => ({ shardId: Number(shardId), batch }));
  return { frame: { incarnation, number }, vector };
}

const seen = cut(7n, 10n, { 0: 100n, 1: 200n });

const verdicts: readonly { what: string; next: FrameCut; accepted: boolean }[] = [
  { what: "the next frame", next: cut(7n, 11n, { 0: 101n, 1: 200n }), accepted: true },
  { what: "the same frame again", next: seen, accepted: true },
  { what: "a frame in which a shard appears", next: cut(7n, 11n, { 0: 100n, 1: 200n, 2: 1n }), accepted: true },
  { what: "an earlier frame of the same incarnation", next: cut(7n, 9n, { 0: 100n, 1: 200n }), accepted: false },
  { what: "a frame with one shard behind", next: cut(7n, 11n, { 0: 150n, 1: 199n }), accepted: false },
  { what: "a new incarnation that has caught up", next: cut(8n, 1n, { 0: 100n, 1: 201n }), accepted: true },
  { what: "a new incarnation that has not read a shard yet", next: cut(8n, 1n, { 0: 100n }), accepted: false },
  { what: "a new incarnation that has read nothing", next: cut(8n, 1n, {}), accepted: false },
];

describe("a reader of frames never sees a count fall (I7)", () => {
  for (const { what, next, accepted } of verdicts) {
    test(`${what} is ${accepted ? "accepted" : "dropped"}`, () => {
      const order = new FrameOrder();
      expect(order.accept(seen)).toBe(true);
      expect(order.accept(next)).toBe(accepted);
    });
  }

  test("a dropped frame leaves no trace: the cut accepted before still decides", () => {
    const order = new FrameOrder();
    order.accept(seen);
    order.accept(cut(8n, 50n, { 0: 300n }));
    expect(order.accept(cut(7n, 11n, { 0: 101n, 1: 201n }))).toBe(true);
  });
});
