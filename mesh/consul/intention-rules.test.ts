import { expect, test } from "vitest";
import { isAllowed, parseIntentions } from "./intention-rules.ts";

const entry = (Name: string, ...sources: [name: string, action: string][]) => ({
  Kind: "service-intentions",
  Name,
  Sources: sources.map(([name, Action]) => ({ Name: name, Action })),
});

const allowed = (entries: unknown, source = "urna-router", destination = "urna-shard") =>
  isAllowed(parseIntentions(entries), source, destination);

test("what nobody has written about is allowed; a denial takes away, an allowance gives nothing new", () => {
  expect(allowed([])).toBe(true);
  expect(allowed([entry("urna-shard", ["urna-tally", "deny"])])).toBe(true);
  expect(allowed([entry("urna-tally", ["urna-router", "deny"])])).toBe(true);
  expect(allowed([entry("urna-shard", ["urna-router", "deny"])])).toBe(false);
  expect(allowed([entry("urna-shard", ["urna-router", "allow"])])).toBe(true);
});

test("an exact name goes before a wildcard, and the destination before the source", () => {
  const none = entry("*", ["*", "deny"]);
  expect(allowed([none])).toBe(false);
  expect(allowed([none, entry("*", ["urna-router", "allow"])])).toBe(true);
  expect(allowed([entry("*", ["urna-router", "allow"]), entry("urna-shard", ["*", "deny"])])).toBe(false);
  expect(allowed([entry("urna-shard", ["*", "deny"], ["urna-router", "allow"])])).toBe(true);
  expect(allowed([entry("urna-shard", ["*", "allow"], ["urna-router", "deny"])])).toBe(false);
});

test("rules about HTTP deny, for gRPC calls of the mesh cannot be told apart by them", () => {
  const permissions = [{ Action: "allow", HTTP: { PathPrefix: "/" } }];
  expect(allowed([{ Name: "urna-shard", Sources: [{ Name: "urna-router", Permissions: permissions }] }])).toBe(false);
});

test("services of another cluster are none of ours", () => {
  expect(allowed([{ Name: "urna-shard", Sources: [{ Name: "urna-router", Peer: "other", Action: "deny" }] }])).toBe(
    true,
  );
});

test("an entry without sources says nothing", () => {
  expect(allowed([{ Name: "urna-shard", Sources: null }])).toBe(true);
});

for (const nonsense of [
  undefined,
  {},
  [null],
  [{ Sources: [] }],
  [{ Name: "x", Sources: [{}] }],
  [{ Name: "x", Sources: 1 }],
]) {
  test(`nonsense is refused by name: ${JSON.stringify(nonsense)}`, () => {
    expect(() => parseIntentions(nonsense)).toThrow(/^intentions: /);
  });
}
