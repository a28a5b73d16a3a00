import { expect, test } from "vitest";
import type { Announcement, ServiceStatus } from "#mesh/announcer.ts";
import { Announcing, statusOf } from "#mesh/announcing.ts";

const critical = { level: "critical", line: "no standby" } as const;
const warning = { level: "warning", line: "overloaded" } as const;

test.each([
  { troubles: [], level: "passing", line: "shard 1: writing" },
  { troubles: [warning], level: "warning", line: "shard 1: overloaded; writing" },
  { troubles: [warning, critical], level: "critical", line: "shard 1: no standby; writing" },
])("a status of $troubles.length troubles is $level", ({ troubles, level, line }) => {
  expect(statusOf("shard 1", troubles, "writing")).toEqual({ level, line });
});

test("what is announced is told at once, again when asked, and taken back when it is withdrawn", async () => {
  const told: string[] = [];
  const announcer = {
    announce: ({ id }: Announcement, { line }: ServiceStatus) => void told.push(`${id} ${line}`),
    withdraw: async () => void told.push("withdrawn"),
  };
  const place = { service: "urna-tally", id: "tally", host: "127.0.0.1", port: 1, tags: [], meta: {} } as const;
  let n = 0;
  const announcing = new Announcing(announcer, () => ({
    announcement: place,
    status: { level: "passing", line: String(n++) },
  }));
  announcing.tell();
  await announcing.withdraw();
  expect(told).toEqual(["tally 0", "tally 1", "withdrawn"]);
});
