import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { FrameOrder } from "#proto/frame-order.ts";
import type { WatchTallyResponse } from "#proto/generated/urna/v1/tally_service_pb.js";
import { WatchTallyResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { silenceMsMax, watchTally } from "./tally-watch.ts";

function frame(incarnation: bigint, number: bigint, batch: bigint): WatchTallyResponse {
  return create(WatchTallyResponseSchema, {
    cut: { frame: { incarnation, number }, vector: [{ shardId: 0, batch }] },
    region: { ballots: batch },
  });
}

/** Runs the watch over the given streams, one after the other; ends it when they are used up. */
async function runWatch(streams: readonly (readonly (WatchTallyResponse | Error)[])[]) {
  const stop = new AbortController();
  const batches: (bigint | undefined)[] = [];
  const states: string[] = [];
  const waits: number[] = [];
  let opened = 0;
  await watchTally({
    async *open() {
      const stream = streams[opened++];
      if (stream === undefined) return stop.abort();
      for (const item of stream) {
        if (item instanceof Error) throw item;
        yield item;
      }
    },
    order: new FrameOrder(),
    onFrame: ({ region }) => batches.push(region?.ballots),
    onState: ({ kind }) => states.push(kind),
    signal: stop.signal,
    async wait(delayMs, signal) {
      // The guard against silence never fires here; waits between streams are over at once.
      if (delayMs === silenceMsMax) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      else waits.push(delayMs);
    },
    random: () => 1,
  });
  return { batches, states, waits };
}

describe("watching a tally", () => {
  test("frames are shown as they come, and one that is behind is dropped (I7)", async () => {
    const { batches, states } = await runWatch([
      [frame(1n, 1n, 10n), frame(1n, 2n, 20n), frame(2n, 1n, 5n), frame(2n, 2n, 21n)],
    ]);
    expect(batches).toEqual([10n, 20n, 21n]);
    expect(states).toEqual(["connecting", "live", "live", "catching-up", "live", "broken"].slice(0, states.length));
  });

  test("a stream that breaks is opened again, and the wait grows until a frame comes", async () => {
    const gone = new Error("gone");
    const { batches, waits } = await runWatch([[frame(1n, 1n, 10n), gone], [gone], [gone], [frame(1n, 2n, 11n), gone]]);
    expect(batches).toEqual([10n, 11n]);
    expect(waits).toEqual([500, 1_000, 2_000, 500]);
  });

  test("a stream that merely ends is opened again too", async () => {
    const { batches, states } = await runWatch([[frame(1n, 1n, 10n)], [frame(1n, 2n, 11n)]]);
    expect(batches).toEqual([10n, 11n]);
    expect(states.filter((state) => state === "broken")).toHaveLength(2);
  });

  test("a stream that falls silent is given up", async () => {
    const stop = new AbortController();
    let opened = 0;
    const causes: unknown[] = [];
    await watchTally({
      async *open(signal) {
        opened += 1;
        if (opened === 2) return stop.abort();
        yield frame(1n, 1n, 10n);
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
      order: new FrameOrder(),
      onFrame: () => {},
      onState: (state) => {
        if (state.kind === "broken") causes.push(String(state.cause));
      },
      signal: stop.signal,
      // All time is over at once: the guard that the frame did not end fires.
      wait: () => new Promise((resolve) => setImmediate(resolve)),
      random: () => 1,
    });
    expect(causes).toEqual(["Error: no frame came in time"]);
  });
});
