/** Who is let in to a shard, with looks and time driven by hand. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { linkLimits } from "./config.ts";
import type { ShardView } from "./shard-door.ts";
import { ShardDoor } from "./shard-door.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: 0, toFake: ["Date", "performance"] });
});

afterEach(() => {
  vi.useRealTimers();
});

const lookEveryMs = 100;
const share = 1_000;
const atWork: ShardView = { connected: true, outstanding: 10, waiting: 0, oldestWaitingMs: 0, settled: 0 };
const frozen: ShardView = { ...atWork, waiting: 50, oldestWaitingMs: 100 };
const away: ShardView = { ...atWork, connected: false, outstanding: 0, waiting: 50, oldestWaitingMs: 100 };

/** Looks for so long; `view` may change with the time that has passed. */
async function lookFor(door: ShardDoor, forMs: number, view: ShardView | ((passedMs: number) => ShardView)) {
  for (let passedMs = 0; passedMs < forMs; passedMs += lookEveryMs) {
    vi.advanceTimersByTime(lookEveryMs);
    door.look(typeof view === "function" ? view(passedMs + lookEveryMs) : view, performance.now());
    // The breaker decides in a few turns of the microtask queue.
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  }
}

function openDoor(trial: () => Promise<boolean> = async () => false): ShardDoor {
  return new ShardDoor(linkLimits, trial, performance.now());
}

/** A shard that settles a thousand votes a second, of which 500 wait. */
const busy = (passedMs: number): ShardView => ({ ...atWork, outstanding: 500, settled: passedMs });

test("a shard at work lets everybody in, up to its share (I9)", async () => {
  const door = openDoor();
  await lookFor(door, 10_000, busy);
  expect(door.state).toBe("closed");
  expect(door.refusal(share - 1, 5_000, share, true)).toBeUndefined();
  expect(door.refusal(share, 0, share, true)).toBe("share");
});

test("a shard that has nothing to do is in service, however long", async () => {
  const door = openDoor();
  await lookFor(door, 60_000, { ...atWork, outstanding: 0 });
  expect(door.refusal(0, 0, share, true)).toBeUndefined();
});

test("a shard that answers nothing is taken out of service after two seconds, and its votes are refused at once", async () => {
  const door = openDoor();
  await lookFor(door, 1_000, busy);
  await lookFor(door, 1_900, { ...frozen, settled: 1_000 });
  expect(door.state).toBe("closed");
  await lookFor(door, 200, { ...frozen, settled: 1_000 });
  expect(door.state).toBe("open");
  expect(door.refusal(0, 0, share, true)).toBe("breaker");
  const rejection = door.rejectionFor("breaker");
  expect(rejection).toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  expect(rejection.retryAfterMs).toBeGreaterThanOrEqual(1_000);
  expect(rejection.retryAfterMs).toBeLessThanOrEqual(1_500);
});

test("a shard that moves now and then stays in service: a slow one is no dead one", async () => {
  const door = openDoor();
  await lookFor(door, 30_000, (passedMs) => ({ ...frozen, settled: Math.floor(passedMs / 1_500) }));
  expect(door.state).toBe("closed");
});

test("a takeover of three seconds is no outage; five seconds without a writer are", async () => {
  const door = openDoor();
  await lookFor(door, 1_000, busy);
  await lookFor(door, 3_000, away);
  expect(door.refusal(10, 10, share, true)).toBeUndefined();
  await lookFor(door, 1_000, (passedMs) => busy(1_000 + passedMs));
  expect(door.state).toBe("closed");
  await lookFor(door, 4_800, away);
  expect(door.state).toBe("closed");
  expect(door.rejectionFor("share").reason).toBe("SHARD_UNAVAILABLE");
  await lookFor(door, 400, away);
  expect(door.state).toBe("open");
});

test("while it stands still only so many votes may wait for it, so that callers have room for other shards' votes (I9)", async () => {
  const door = openDoor();
  await lookFor(door, 1_000, busy);
  await lookFor(door, 600, away);
  const { stuckVotesMax } = linkLimits;
  expect(door.refusal(10, stuckVotesMax - 1, 100_000, true)).toBeUndefined();
  expect(door.refusal(10, stuckVotesMax, 100_000, true)).toBe("stuck");
  expect(door.refusal(10, stuckVotesMax, 100_000, false)).toBeUndefined();
});

test("the breaker closes when the shard is seen to commit, and is tried again and again until then", async () => {
  let commits = false;
  let trials = 0;
  const door = openDoor(async () => {
    trials += 1;
    return commits;
  });
  await lookFor(door, 2_500, frozen);
  expect(door.state).toBe("open");
  await lookFor(door, 3_000, frozen);
  expect(trials).toBeGreaterThan(3);
  expect(door.state).toBe("open");
  commits = true;
  await lookFor(door, 700, { ...frozen, settled: 1 });
  expect(door.state).toBe("closed");
  expect(door.refusal(0, 0, share, true)).toBeUndefined();
});

test("votes are not let in while the trial is under way: a trial costs no voter anything", async () => {
  const verdict = Promise.withResolvers<boolean>();
  const door = openDoor(() => verdict.promise);
  await lookFor(door, 3_000, frozen);
  expect(door.state).toBe("half-open");
  expect(door.refusal(0, 0, share, true)).toBe("breaker");
  verdict.resolve(true);
  await lookFor(door, 100, { ...frozen, settled: 1 });
  expect(door.state).toBe("closed");
});

test("new votes are shed by how long the oldest has waited, and told when the line will have moved (I9)", async () => {
  const door = openDoor();
  // 500 votes on their way and 1,500 waiting, at 1,000 a second.
  await lookFor(door, 5_000, (passedMs) => ({ ...busy(passedMs), waiting: 1_500, oldestWaitingMs: 900 }));
  expect(door.refusal(0, 1_500, share, true)).toBeUndefined();
  await lookFor(door, 700, (passedMs) => ({ ...busy(5_000 + passedMs), waiting: 1_500, oldestWaitingMs: 1_100 }));
  expect(door.shedding).toBe(true);
  expect(door.refusal(0, 1_500, share, true)).toBe("queue_time");
  expect(door.refusal(0, 1_500, share, false)).toBeUndefined();
  const waits = Array.from({ length: 32 }, () => door.rejectionFor("queue_time").retryAfterMs ?? 0);
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(1_800);
  expect(Math.max(...waits)).toBeLessThanOrEqual(3_200);
  expect(new Set(waits).size).toBeGreaterThan(4);
  await lookFor(door, 100, (passedMs) => ({ ...busy(5_700 + passedMs), waiting: 100, oldestWaitingMs: 200 }));
  expect(door.refusal(0, 100, share, true)).toBeUndefined();
});
