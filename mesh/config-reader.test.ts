import { expect, test } from "vitest";
import { ConfigReader } from "#mesh/config-reader.ts";

const reader = new ConfigReader({
  NAME: "router-0",
  EMPTY: "",
  COUNT: "7",
  AT: "127.0.0.1:80",
  SIX: "[::1]:80",
  MANY: "a, b,,c",
});

test("values are read as what they are", () => {
  expect(reader.text("NAME")).toBe("router-0");
  expect(reader.optional("EMPTY")).toBeUndefined();
  expect(reader.text("EMPTY", "fallback")).toBe("fallback");
  expect(reader.integer("COUNT", { min: 1, max: 7 })).toBe(7);
  expect(reader.integer("MISSING", { min: 1, max: 7, fallback: 3 })).toBe(3);
  expect(reader.hostPort("AT")).toEqual({ host: "127.0.0.1", port: 80 });
  expect(reader.hostPort("SIX")).toEqual({ host: "::1", port: 80 });
  expect(reader.list("MANY")).toEqual(["a", "b", "c"]);
  expect(reader.list("MISSING")).toEqual([]);
});

const faults: [string, () => unknown][] = [
  ["MISSING is not set", () => reader.text("MISSING")],
  ["EMPTY is not set", () => reader.text("EMPTY")],
  ["COUNT must be a whole number from 1 to 6", () => reader.integer("COUNT", { min: 1, max: 6 })],
  ["NAME must be a whole number", () => reader.integer("NAME", { min: 1, max: 6 })],
  ["NAME must be host:port", () => reader.hostPort("NAME")],
];

for (const [message, read] of faults) {
  test(`a fault names its variable: ${message}`, () => expect(read).toThrow(message));
}
