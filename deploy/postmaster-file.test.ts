import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { livePostmaster, readPostmasterFile, removeForeignPidFile } from "./postmaster-file.ts";

let data: string;
let file: string;

const write = (pid: number, state = "ready   ") =>
  writeFileSync(file, [pid, data, 1, 54400, "", "127.0.0.1", "shm", state, ""].join("\n"));

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "urna-data-"));
  file = join(data, "postmaster.pid");
});
afterEach(() => rmSync(data, { recursive: true, force: true }));

describe("postmaster.pid", () => {
  test("says who runs the directory and whether it accepts connections", () => {
    expect(readPostmasterFile(data)).toBeUndefined();
    write(42);
    expect(readPostmasterFile(data)).toEqual({ pid: 42, accepting: true });
    write(42, "starting");
    expect(readPostmasterFile(data)?.accepting).toBe(false);
  });

  test("of a live postmaster is never removed", () => {
    const postmaster = spawn("/bin/sh", ["-c", "sleep 60 & wait", "postgres", "-D", data], { stdio: "ignore" });
    try {
      write(postmaster.pid ?? 0);
      expect(livePostmaster(data)).toBe(postmaster.pid);
      removeForeignPidFile(data);
      expect(existsSync(file)).toBe(true);
    } finally {
      postmaster.kill("SIGKILL");
    }
  });

  test("whose pid is another program's now is removed; one whose process is gone is left to Postgres", () => {
    write(process.pid);
    expect(livePostmaster(data)).toBeUndefined();
    removeForeignPidFile(data);
    expect(existsSync(file)).toBe(false);
    write(2 ** 22 + 1);
    removeForeignPidFile(data);
    expect(existsSync(file)).toBe(true);
  });
});
