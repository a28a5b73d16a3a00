import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { ShortSha256 } from "./sha256.ts";

test("every length of message up to the limit has the digest that node:crypto gives", () => {
  const lengthMax = 200;
  const hasher = new ShortSha256(lengthMax);
  for (let length = 0; length <= lengthMax; length++) {
    const message = Buffer.alloc(length, (length * 37) & 0xff);
    const digest = new Uint8Array(40);
    hasher.message.set(message);
    hasher.digestInto(length, digest, 4, 32);
    expect(Buffer.from(digest.subarray(4, 36)).toString("hex")).toBe(
      createHash("sha256").update(message).digest("hex"),
    );
  }
});

test("a message over the limit is refused", () => {
  expect(() => new ShortSha256(10).digestInto(11, new Uint8Array(32), 0, 32)).toThrow(RangeError);
});
