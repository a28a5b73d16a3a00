import pg from "pg";
import { expect, test } from "vitest";
import { classifyFailure } from "./sqlstate.ts";

function failure(code: string): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError("it failed", 9, "error"), { code });
}

const meanings: Record<string, readonly string[]> = {
  // Another writer: the head has moved, or a vote of its is there.
  deposed: ["UR001", "23505"],
  "unsafe-setting": ["UR002"],
  // A vote that cannot be stored: halved until it stands alone.
  data: ["22021", "22003", "23502", "23514", "54000", "P0001"],
  blocked: ["55P03"],
  // Cancelled, ended, deadlock, disk full, out of memory, aborted transaction, no such table, no right to it.
  other: ["57014", "57P01", "40P01", "53100", "53200", "25P02", "42P01", "42501", "UR003", "XX000"],
};

for (const [kind, codes] of Object.entries(meanings)) {
  for (const code of codes) {
    test(`SQLSTATE ${code} means ${kind}`, () => {
      expect(classifyFailure(failure(code)).kind).toBe(kind);
    });
  }
}

for (const [name, cause] of [
  ["a lost connection", new Error("Connection terminated unexpectedly")],
  ["a text that looks like a SQLSTATE", Object.assign(new Error("no"), { code: "23505" })],
  ["no cause at all", undefined],
] as const) {
  test(`${name} is never taken for what only the database can say (I6)`, () => {
    expect(classifyFailure(cause).kind).toBe("other");
  });
}
