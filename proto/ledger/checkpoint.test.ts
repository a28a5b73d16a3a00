import { describe, expect, test } from "vitest";
import { formatCheckpoint, parseCheckpoint } from "./checkpoint.ts";
import { LedgerFormatError } from "./ledger-format-error.ts";

const published = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
const root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

test("the example of the standard is read, and written again as it was", () => {
  const checkpoint = parseCheckpoint(published);
  expect(checkpoint).toEqual({
    origin: "example.com/behind-the-sofa",
    size: 20_852_163,
    root: Buffer.from(root, "base64"),
    extensions: [],
  });
  expect(formatCheckpoint(checkpoint)).toBe(published);
});

test("extension lines are kept", () => {
  const text = `${published}one\ntwo\n`;
  expect(parseCheckpoint(text).extensions).toEqual(["one", "two"]);
  expect(formatCheckpoint(parseCheckpoint(text))).toBe(text);
});

test.each([0, 2 ** 53 - 1])("a size of %i is read", (size) => {
  expect(parseCheckpoint(`a\n${size}\n${root}\n`).size).toBe(size);
});

const bad: [name: string, text: string, message: string][] = [
  ["nothing", "", "is empty"],
  ["an empty line for the origin", `\n1\n${root}\n`, "empty line"],
  ["two lines", "a\n1\n", "three lines"],
  ["CRLF", `a\r\n1\r\n${root}\r\n`, "CRLF"],
  ["a control character", `a\u0007\n1\n${root}\n`, "control character"],
  ["a last line that does not end", `a\n1\n${root}`, "cut off"],
  ["an empty extension line", `a\n1\n${root}\n\n`, "empty line"],
  ["a size with a leading zero", `a\n01\n${root}\n`, 'size "01"'],
  ["a negative size", `a\n-1\n${root}\n`, 'size "-1"'],
  ["a size with a sign", `a\n+1\n${root}\n`, 'size "+1"'],
  ["a size in hexadecimal", `a\n0x1\n${root}\n`, 'size "0x1"'],
  ["a size with an exponent", `a\n1e3\n${root}\n`, 'size "1e3"'],
  ["a size with a space", `a\n1 \n${root}\n`, 'size "1 "'],
  ["a size beyond 2^53 - 1", `a\n9007199254740992\n${root}\n`, "larger than"],
  ["a root that is too short", "a\n1\nAAAA\n", "3 bytes"],
  ["a root without padding", `a\n1\n${root.slice(0, -1)}\n`, "not canonical base64"],
  ["a root with unused bits set", `a\n1\n${root.replace("I=", "J=")}\n`, "not canonical base64"],
  ["a root of the URL alphabet", `a\n1\n${root.replace("/", "_")}\n`, "not canonical base64"],
  ["a root with a space in it", `a\n1\n${root.replace("/", "/ ")}\n`, "not canonical base64"],
];

describe("no checkpoint is read from", () => {
  test.each(bad)("%s", (_, text, message) => {
    expect(() => parseCheckpoint(text)).toThrow(LedgerFormatError);
    expect(() => parseCheckpoint(text)).toThrow(message);
  });
});

const good = { origin: "a", size: 1, root: Buffer.alloc(32), extensions: [] };
const unwritable: [name: string, change: Partial<ReturnType<typeof parseCheckpoint>>][] = [
  ["an empty origin", { origin: "" }],
  ["an origin of two lines", { origin: "a\n1" }],
  ["a size that is not whole", { size: 1.5 }],
  ["a size so large that it is written with an exponent", { size: 1e21 }],
  ["a root that is too long", { root: Buffer.alloc(33) }],
  ["an empty extension", { extensions: [""] }],
];

describe("no checkpoint is written with", () => {
  test.each(unwritable)("%s", (_, change) => {
    expect(() => formatCheckpoint({ ...good, ...change })).toThrow(LedgerFormatError);
  });
});
