import { describe, expect, test } from "vitest";
import { lineWidthMax, plainText, textTable } from "./text-table.ts";

describe("a table in the terminal", () => {
  test("has columns as wide as their widest cell, numbers to the right", () => {
    const columns = [{ head: "REGION" }, { head: "BALLOTS", align: "right" as const }];
    expect(
      textTable(columns, [
        ["belknap", "14,181"],
        ["coos", "6"],
      ]),
    ).toEqual(["REGION   BALLOTS", "belknap   14,181", "coos           6"]);
  });

  test("never is wider than the terminal: the flexible column gives way", () => {
    const columns = [{ head: "ID" }, { head: "TITLE", flexible: true }, { head: "STATE" }];
    const lines = textTable(columns, [["town", "t".repeat(200), "open"]]);
    expect(Math.max(...lines.map((line) => line.length))).toBe(lineWidthMax);
    expect(lines[1]).toMatch(/…\s+open$/);
  });

  test("does not let a server's text steer the terminal", () => {
    expect(plainText("\u001b[31mred\u001b[0m\u0007\nnext")).toBe("red  next");
    expect(textTable([{ head: "T" }], [["a\u001b[2Jb"]])[1]).toBe("ab");
  });
});
