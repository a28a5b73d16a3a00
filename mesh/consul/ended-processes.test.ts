import { expect, test } from "vitest";
import { EndedProcesses } from "./ended-processes.ts";
import type { ServiceInstance } from "./service-instances.ts";

const listed = (process: string, reachable = true, node = "m1"): ServiceInstance => {
  const id = process.split("/")[0] ?? "";
  return { key: `${id} on ${node}`, id, address: "127.0.0.1:1", shardId: 0, process, reachable };
};

test("a process has ended when its port refuses, and only as long as it does", () => {
  const ended = new EndedProcesses();
  ended.update([listed("a/1")], 0);
  expect(ended.has("a/1", 0)).toBe(false);
  ended.update([listed("a/1", false)], 1);
  expect(ended.has("a/1", 1)).toBe(true);
  ended.update([listed("a/1")], 2);
  expect(ended.has("a/1", 2)).toBe(false);
});

test("a process has ended when another has its place", () => {
  const ended = new EndedProcesses();
  ended.update([listed("a/1")], 0);
  ended.update([listed("a/2")], 1);
  expect(ended.has("a/1", 1)).toBe(true);
  expect(ended.has("a/2", 1)).toBe(false);
});

test("a process that was never listed has not ended: its registration may be on the way", () => {
  const ended = new EndedProcesses();
  ended.update([listed("a/1")], 0);
  for (const process of ["a/2", "b/1", "", "/", "a"]) expect(ended.has(process, 60_000)).toBe(false);
});

test("a process that is listed no more has ended after a while: its agent may have been restarted", () => {
  const ended = new EndedProcesses();
  ended.update([listed("a/1")], 0);
  ended.update([], 10_000);
  expect(ended.has("a/1", 12_000)).toBe(false);
  expect(ended.has("a/1", 12_500)).toBe(true);
  ended.update([listed("a/1")], 13_000);
  expect(ended.has("a/1", 13_000)).toBe(false);
});

test("nobody has ended because the registry was wiped", () => {
  const ended = new EndedProcesses();
  ended.update([listed("a/1"), listed("b/1")], 0);
  ended.startedAnew(1_000);
  ended.update([listed("b/2")], 1_000);
  for (const process of ["a/1", "b/1"]) expect(ended.has(process, 15_000)).toBe(false);
  for (const process of ["a/1", "b/1"]) expect(ended.has(process, 16_000)).toBe(true);
});

test("an instance that is registered on two machines lives where it accepts connections", () => {
  const ended = new EndedProcesses();
  ended.update([listed("a/1", false, "m1"), listed("a/2", true, "m2")], 0);
  expect(ended.has("a/1", 0)).toBe(true);
  expect(ended.has("a/2", 0)).toBe(false);
});

test("it forgets the oldest processes of an instance that restarts for ever", () => {
  const ended = new EndedProcesses();
  for (let i = 0; i < 1_000; i++) ended.update([listed(`a/${i}`)], i);
  expect(ended.has("a/998", 1_000)).toBe(true);
  expect(ended.has("a/1", 1_000)).toBe(false);
});
