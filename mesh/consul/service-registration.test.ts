import { expect, test } from "vitest";
import type { Announcement } from "#mesh/announcer.ts";
import { registrationOf } from "./service-registration.ts";

const announcement: Announcement = {
  service: "urna-shard",
  id: "shard-0-a",
  host: "10.0.0.2",
  port: 5_000,
  tags: ["writer"],
  meta: { shard: "0" },
};
const status = { level: "critical", line: "no standby" } as const;

test("a process begins with its own word for how it stands, and as one that listens", () => {
  const { checks, ...registration } = registrationOf(announcement, status);
  expect(registration).toEqual({
    name: "urna-shard",
    id: "shard-0-a",
    address: "10.0.0.2",
    port: 5_000,
    tags: ["writer"],
    meta: { shard: "0" },
  });
  expect(checks).toMatchObject([
    { checkid: "status:shard-0-a", status: "critical", ttl: "15000ms" },
    { checkid: "alive:shard-0-a", status: "passing", tcp: "10.0.0.2:5000", interval: "1s" },
  ]);
});

test("only who has been gone for long is forgotten, never who stands badly", () => {
  const { checks } = registrationOf(announcement, status);
  expect(checks.map((check) => check.deregistercriticalserviceafter)).toEqual([undefined, "10m"]);
});

test("whoever listens everywhere is found at its machine's address", () => {
  for (const host of ["0.0.0.0", "::"]) expect(registrationOf({ ...announcement, host }, status).address).toBe("");
});
