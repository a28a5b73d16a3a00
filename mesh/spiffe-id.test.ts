import { expect, test } from "vitest";
import { formatSpiffeId, identityKinds, parseSpiffeId, spiffeIdOf, trustDomainOf } from "#mesh/spiffe-id.ts";

test("an id is read back as it was written, for every kind", () => {
  for (const kind of identityKinds) {
    const id = { deployment: "city-2026", kind, name: "router-0" };
    expect(parseSpiffeId(formatSpiffeId(id))).toEqual(id);
  }
  expect(formatSpiffeId({ deployment: "d", kind: "shard", name: "shard-0-a" })).toBe(
    "spiffe://d/service/shard/shard-0-a",
  );
  expect(formatSpiffeId({ deployment: "d", kind: "admin", name: "ann" })).toBe("spiffe://d/admin/ann");
});

const strangers = [
  "",
  "https://d/service/router/r",
  "spiffe://d",
  "spiffe://d/router/r",
  "spiffe://d/service/admin/ann",
  "spiffe://d/service/emperor/e",
  "spiffe://d/service/router/r/more",
  "spiffe://d/service/router/",
  "spiffe://D/service/router/r",
  "spiffe://d/service/router/a b",
  "spiffe://d/service/router/r?x",
];
for (const uri of strangers) {
  test(`"${uri}" is no id of ours`, () => expect(parseSpiffeId(uri)).toBeUndefined());
}

test("a certificate has one id: with several it has none", () => {
  expect(spiffeIdOf("DNS:a, URI:spiffe://d/client/c, IP Address:127.0.0.1")?.name).toBe("c");
  expect(spiffeIdOf("URI:spiffe://d/client/c, URI:spiffe://d/admin/ann")).toBeUndefined();
  expect(spiffeIdOf('DNS:"a, URI:spiffe://d/admin/ann, b"')).toBeUndefined();
  expect(spiffeIdOf(undefined)).toBeUndefined();
});

test("a deployment's name becomes a trust domain", () => {
  expect(trustDomainOf("City of Springfield")).toBe("city-of-springfield");
  expect(() => formatSpiffeId({ deployment: "City", kind: "client", name: "c" })).toThrow("trust domain");
});
