/** What Urna hands out, checked by a Go program that knows nothing of Urna: see bench/verify/README.md. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GoVerifier, goComplaints, goIsRequired, missingGo, type Verdict } from "./go-verifier.ts";
import { GrownLog } from "./grown-log.ts";

const missing = await missingGo();
if (missing !== undefined) console.log(`bench/verify: ${goIsRequired ? "FAILED" : "skipped"}: ${missing}`);

if (goIsRequired) {
  test("Go is here, as URNA_REQUIRE demands", () => expect(missing).toBeUndefined());
}

const buildLimitMs = 400_000;
const sizes = [0, 1, 2, 3, 7, 8, 255, 256, 257, 1_000, 1_001];
const sizeMax = Math.max(...sizes);
const log = new GrownLog("town/shard/3", "a key");
const stranger = new GrownLog(log.origin, "another key");
log.grow(sizeMax);
stranger.grow(sizeMax);

describe.skipIf(missing !== undefined)("the Go program", () => {
  let folder: string;
  let go: GoVerifier;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "urna-verify-test-"));
    go = await GoVerifier.build();
  }, buildLimitMs);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Checks files, given by name, in one run. */
  async function checkReceipts(
    name: string,
    files: ReadonlyMap<string, Buffer>,
    key = log.verifierKey,
  ): Promise<Verdict> {
    const receipts = join(folder, name);
    await mkdir(receipts);
    await Promise.all([...files].map(([file, bytes]) => writeFile(join(receipts, file), bytes)));
    const verdict = await go.check("receipts", receipts, key);
    expect(verdict.lines).toHaveLength(files.size);
    return verdict;
  }

  type Consistency = { readonly older: Buffer; readonly newer: Buffer; readonly proof: string };

  async function consistencyOf(oldSize: number, newSize: number): Promise<Consistency> {
    const hashes = await log.consistency(oldSize, newSize);
    return {
      older: await log.checkpoint(oldSize),
      newer: await log.checkpoint(newSize),
      proof: hashes.map((hash) => `${hash.toString("base64")}\n`).join(""),
    };
  }

  async function checkConsistency({ older, newer, proof }: Consistency, key = log.verifierKey): Promise<Verdict> {
    const paths = ["older", "newer", "proof"].map((name) => join(folder, name));
    await Promise.all([older, newer, proof].map((bytes, i) => writeFile(paths[i] ?? "", bytes)));
    return go.check("consistency", ...paths, key);
  }

  test("is formatted, and vetted", async () => {
    expect(await goComplaints()).toBe("");
  }, 60_000);

  test("makes the known answers that are checked in", async () => {
    const verdict = await go.check("vectors", join(import.meta.dirname, "../proto/ledger/known-answers.json"));
    expect(verdict.lines).toEqual([expect.stringMatching(/^ok: /)]);
  });

  test("accepts the receipts of a growing tree at every size (I8)", async () => {
    const files = new Map<string, Buffer>();
    for (const size of sizes.filter((size) => size > 0)) {
      for (const index of new Set([0, 1, Math.floor(size / 2), size - 2, size - 1])) {
        if (index >= 0 && index < size) files.set(`${index}-of-${size}`, await log.receipt(index, size));
      }
    }
    const verdict = await checkReceipts("growing", files);
    expect(verdict.lines.filter((line) => !line.startsWith("ok: "))).toEqual([]);
    expect(verdict.lines).toContainEqual(
      expect.stringMatching(/^ok: 999-of-1000: leaf 999, .* of 1000 leaves that town/),
    );
  });

  test("refuses a receipt with any one of its bits flipped", async () => {
    const receipt = await log.receipt(4, 7);
    const files = new Map([["whole", receipt]]);
    for (let bit = 0; bit < receipt.length * 8; bit++) {
      const damaged = Buffer.from(receipt);
      damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      files.set(`bit-${bit}`, damaged);
    }
    const verdict = await checkReceipts("flipped", files);
    expect(verdict.lines.filter((line) => line.startsWith("ok: "))).toEqual([expect.stringMatching(/^ok: whole: /)]);
  }, 60_000);

  test("refuses a receipt that is cut off, wherever", async () => {
    const receipt = await log.receipt(4, 7);
    const files = new Map(receipt.keys().map((length) => [`first-${length}-bytes`, receipt.subarray(0, length)]));
    const verdict = await checkReceipts("cut", files);
    expect(verdict.lines.filter((line) => line.startsWith("ok: "))).toEqual([]);
  });

  const replaced = (receipt: Buffer, from: string | RegExp, to: string) => {
    const text = receipt.toString("utf8").replace(from, to);
    expect(text).not.toBe(receipt.toString("utf8"));
    return Buffer.from(text);
  };
  const checkpointOf = (receipt: Buffer) => receipt.subarray(receipt.indexOf("\n\n") + 2);
  const withCheckpoint = (receipt: Buffer, checkpoint: Buffer) =>
    Buffer.concat([receipt.subarray(0, receipt.indexOf("\n\n") + 2), checkpoint]);

  const refusals: [name: string, why: RegExp, make: () => Promise<Buffer>][] = [
    ["the proof of another leaf", /does not lead/, () => log.receipt(5, 8, 4)],
    ["another index", /does not lead/, async () => replaced(await log.receipt(5, 8), "index 5", "index 4")],
    [
      "an index beyond the tree",
      /of leaf 8, but .* of 8 leaves/,
      async () => replaced(await log.receipt(5, 8), "index 5", "index 8"),
    ],
    ["an index with a leading zero", /zero/, async () => replaced(await log.receipt(5, 8), "index 5", "index 05")],
    ["an index with a sign", /decimal/, async () => replaced(await log.receipt(5, 8), "index 5", "index +5")],
    [
      "a huge index",
      /too large/,
      async () => replaced(await log.receipt(5, 8), "index 5", "index 18446744073709551621"),
    ],
    [
      "the checkpoint of a larger tree",
      /does not lead/,
      async () => withCheckpoint(await log.receipt(5, 8), await log.checkpoint(257)),
    ],
    [
      "the checkpoint of a smaller tree",
      /does not lead/,
      async () => withCheckpoint(await log.receipt(5, 8), await log.checkpoint(7)),
    ],
    [
      "the checkpoint of a tree that is empty",
      /0 leaves/,
      async () => withCheckpoint(await log.receipt(0, 1), await log.checkpoint(0)),
    ],
    [
      "a hash too many",
      /does not lead/,
      async () => replaced(await log.receipt(5, 8), /\n(.{44})\n\n/, "\n$1\n$1\n\n"),
    ],
    ["a hash too few", /does not lead/, async () => replaced(await log.receipt(5, 8), /\n.{44}\n\n/, "\n\n")],
    ["a short hash", /30 bytes/, async () => replaced(await log.receipt(5, 8), /\n(.{40}).{4}\n\n/, "\n$1\n\n")],
    ["another key of the same name", /no signature by this key/, () => stranger.receipt(5, 8)],
    ["CRLF", /CRLF/, async () => replaced(await log.receipt(5, 8), /\n/g, "\r\n")],
    ["a carriage return in the checkpoint", /CRLF/, async () => replaced(await log.receipt(5, 8), "\n8\n", "\n8\r\n")],
    ["a wrong header", /start with the line/, async () => replaced(await log.receipt(5, 8), "@v1", "@v2")],
    ["no header", /start with the line/, async () => replaced(await log.receipt(5, 8), /^.*\n/, "")],
    ["no entry", /no entry/, async () => replaced(await log.receipt(5, 8), /extra .*\n/, "")],
    ["no index", /index/, async () => replaced(await log.receipt(5, 8), /index .*\n/, "")],
    ["no checkpoint", /no checkpoint/, async () => withCheckpoint(await log.receipt(5, 8), Buffer.alloc(0))],
    ["nothing but a checkpoint", /start with the line/, async () => checkpointOf(await log.receipt(5, 8))],
    [
      "bytes that are no text",
      /not a signed note/,
      async () => withCheckpoint(await log.receipt(5, 8), Buffer.of(0xff, 0xfe)),
    ],
    ["an empty file", /start with the line/, async () => Buffer.alloc(0)],
  ];

  test.each(refusals)("refuses a receipt with %s", async (name, why, make) => {
    const { lines } = await checkReceipts(name.replaceAll(" ", "-"), new Map([["receipt", await make()]]));
    expect(lines).toEqual([expect.stringMatching(/^refused: receipt: /)]);
    expect(lines[0]).toMatch(why);
  });

  const keys: [name: string, why: RegExp, key: string][] = [
    ["another key", /no signature by this key/, stranger.verifierKey],
    ["the key of another log", /no signature by this key/, new GrownLog("town/shard/4", "a key").verifierKey],
    ["a key whose id is not its own", /malformed/, log.verifierKey.replace(/\+[0-9a-f]{8}\+/, "+00000000+")],
    ["a key cut off", /malformed/, log.verifierKey.slice(0, -1)],
    ["no key", /malformed/, ""],
  ];

  test.each(keys)("refuses a receipt that is checked with %s", async (name, why, key) => {
    const files = new Map([["receipt", await log.receipt(5, 8)]]);
    const { lines } = await checkReceipts(name.replaceAll(" ", "-"), files, key);
    expect(lines).toEqual([expect.stringMatching(/^refused: /)]);
    expect(lines[0]).toMatch(why);
  });

  test("sees every checkpoint of a growing tree continue every one before (I8)", async () => {
    for (const [i, newSize] of sizes.entries()) {
      for (const oldSize of sizes.slice(0, i + 1)) {
        const { lines } = await checkConsistency(await consistencyOf(oldSize, newSize));
        expect(lines).toEqual([expect.stringMatching(/^ok: /)]);
      }
    }
  }, 30_000);

  const breaks: [name: string, why: RegExp, make: () => Promise<Consistency>][] = [
    ["a tree that shrinks", /shrunk from 257 leaves to 8/, () => swapped(8, 257)],
    ["two roots of one size", /two roots of one size, 8 leaves/, () => rewritten(8, 8)],
    ["a leaf changed and signed anew", /leaves were changed/, () => rewritten(8, 257)],
    [
      "the proof of other sizes",
      /proof is wrong/,
      async () => ({ ...(await consistencyOf(8, 257)), proof: (await consistencyOf(7, 257)).proof }),
    ],
    ["no proof", /proof is wrong/, async () => ({ ...(await consistencyOf(8, 257)), proof: "" })],
    [
      "a proof from the empty tree that has hashes",
      /has none/,
      async () => ({ ...(await consistencyOf(0, 8)), proof: (await consistencyOf(7, 8)).proof }),
    ],
    [
      "a proof that is cut off",
      /cut off/,
      async () => ({ ...(await consistencyOf(8, 257)), proof: (await consistencyOf(8, 257)).proof.slice(0, -1) }),
    ],
    [
      "a proof with CRLF",
      /CRLF/,
      async () => ({
        ...(await consistencyOf(8, 257)),
        proof: (await consistencyOf(8, 257)).proof.replaceAll("\n", "\r\n"),
      }),
    ],
    [
      "a checkpoint by another key",
      /no signature by this key/,
      async () => ({ ...(await consistencyOf(8, 257)), newer: await stranger.checkpoint(257) }),
    ],
    [
      "a checkpoint changed after it was signed",
      /does not verify/,
      async () => ({ ...(await consistencyOf(8, 257)), newer: replaced(await log.checkpoint(257), "257", "258") }),
    ],
    [
      "a checkpoint of another log with the same key",
      /no signature by this key/,
      async () => ({ ...(await consistencyOf(8, 257)), newer: await sister.checkpoint(257) }),
    ],
  ];
  const sister = new GrownLog("town/shard/4", "a key");
  sister.grow(257);

  async function swapped(oldSize: number, newSize: number): Promise<Consistency> {
    const { older, newer, proof } = await consistencyOf(oldSize, newSize);
    return { older: newer, newer: older, proof };
  }

  /** The newer tree has other leaves, and whoever made it had the key. */
  async function rewritten(oldSize: number, newSize: number): Promise<Consistency> {
    const forged = new GrownLog(log.origin, "a key");
    forged.grow(5);
    forged.grow(newSize - 5, "changed ");
    const proof = (await forged.consistency(oldSize, newSize)).map((hash) => `${hash.toString("base64")}\n`).join("");
    return { older: await log.checkpoint(oldSize), newer: await forged.checkpoint(newSize), proof };
  }

  test.each(breaks)("sees no continuation in %s (I8)", async (_, why, make) => {
    const { lines } = await checkConsistency(await make());
    expect(lines).toEqual([expect.stringMatching(/^refused: /)]);
    expect(lines[0]).toMatch(why);
  });

  test("neither accepts nor refuses what it does not understand", async () => {
    await expect(go.check("receipt")).rejects.toThrow(/exit code 2.*usage: verify/s);
  });
});
