import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { identify, isStillRunning } from "./process-identity.ts";
import { RunActiveError, readLock, releaseRunLock, takeRunLock, untilLocked } from "./run-lock.ts";

let folder: string;
let lock: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "urna-lock-"));
  lock = join(folder, "run.lock");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the lock of a run", () => {
  test("is held by one process until it is released, and leaves nothing behind", async () => {
    await takeRunLock(folder, lock);
    await expect(takeRunLock(folder, lock)).rejects.toThrow(RunActiveError);
    expect(readLock(lock)?.owner).toEqual(identify(process.pid));
    releaseRunLock(lock);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("is waited for while somebody holds it", async () => {
    await takeRunLock(folder, lock);
    let waits = 0;
    await untilLocked(folder, lock, () => {
      waits++;
      releaseRunLock(lock);
    });
    expect(waits).toBe(1);
    expect(readLock(lock)?.owner.pid).toBe(process.pid);
  });

  test.each([
    ["a process that is gone", { owner: { pid: 2 ** 22 + 1, startedAt: "1" } }],
    ["another process that bears the pid now", { owner: { pid: process.pid, startedAt: "1" } }],
    ["nobody: it cannot be read", "{"],
  ])("is taken from %s", async (_, content) => {
    writeFileSync(lock, typeof content === "string" ? content : JSON.stringify(content));
    await takeRunLock(folder, lock);
    expect(readLock(lock)?.owner.pid).toBe(process.pid);
    expect(readdirSync(folder)).toEqual(["run.lock"]);
  });
});

describe("the identity of a process", () => {
  test("tells this process from one of another time", () => {
    const self = identify(process.pid);
    expect(self).toBeDefined();
    if (self === undefined) return;
    expect(isStillRunning(self)).toBe(true);
    expect(isStillRunning({ ...self, startedAt: `${self.startedAt}0` })).toBe(false);
  });
});
