import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { blockBytes, hashAfter, hashBytes, hashDigestAfter, stateAfter, writeDigest } from "./sha256.ts";

function sha256(...parts: readonly Uint8Array[]): Buffer {
  return createHash("sha256").update(Buffer.concat(parts)).digest();
}

function bytesOf(digest: Int32Array): Buffer {
  const bytes = Buffer.alloc(1 + 32);
  writeDigest(bytes, 1, 32, digest);
  return bytes.subarray(1);
}

const digest = new Int32Array(8);

test("the hash of any bytes, wherever they stand, is SHA-256", () => {
  for (let length = 0; length <= 4 * blockBytes; length++) {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: length + 10, maxLength: length + 10 }), fc.nat(10), (bytes, start) => {
        hashBytes(digest, bytes, start, start + length);
        expect(bytesOf(digest)).toEqual(sha256(bytes.subarray(start, start + length)));
      }),
      { numRuns: 5 },
    );
  }
});

test("a first block is hashed once for all messages that begin with it", () => {
  const block = fc.uint8Array({ minLength: blockBytes, maxLength: blockBytes });
  fc.assert(
    fc.property(block, fc.uint8Array({ maxLength: 200 }), (first, rest) => {
      const state = stateAfter(first);
      for (let again = 0; again < 2; again++) {
        hashAfter(digest, state, rest, 0, rest.length);
        expect(bytesOf(digest)).toEqual(sha256(first, rest));
      }
      const inner = bytesOf(digest);
      hashDigestAfter(digest, state);
      expect(bytesOf(digest)).toEqual(sha256(first, inner));
    }),
  );
});

test("as many bytes of a digest are written as are asked for", () => {
  const target = Buffer.alloc(20, 0xff);
  hashBytes(digest, target, 0, 0);
  writeDigest(target, 1, 16, digest);
  expect(target).toEqual(Buffer.concat([Buffer.from([0xff]), sha256().subarray(0, 16), Buffer.alloc(3, 0xff)]));
});
