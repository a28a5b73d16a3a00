import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { TallyCutSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { auditSilence, findingsBox, verifiedThrough } from "./audit-model.ts";

const clean = create(TallyCutSchema, { verifiedThrough: [{ shardId: 1, batch: 1_234n }] });
const withFindings = (...auditFindings: string[]) => create(TallyCutSchema, { auditFindings });

describe("how far the audit has come", () => {
  test("is the batch of each shard that an auditor follows, and nothing of the others", () => {
    expect([0, 1].map((shardId) => verifiedThrough(clean, shardId))).toEqual([undefined, "1,234"]);
    expect(verifiedThrough(undefined, 1)).toBeUndefined();
  });

  test("is said to be old since the last word of an auditor", () => {
    expect(auditSilence(clean)).toBeUndefined();
    const silent = create(TallyCutSchema, { auditSilentSince: timestampFromDate(new Date(2026, 10, 25, 14, 3, 22)) });
    expect(auditSilence(silent)).toBe("No auditor has been heard since 14:03:22: later batches may not be verified.");
  });
});

describe("what the audit found", () => {
  test("is not shown while all is clean", () => {
    expect(findingsBox(clean)).toEqual({ title: undefined, findings: [] });
    expect(findingsBox(undefined).title).toBeUndefined();
  });

  test("is a fault, or a number of them, each in the auditor's words", () => {
    expect(findingsBox(withFindings("leaf 3 is another"))).toEqual({
      title: "The audit found a fault",
      findings: ["leaf 3 is another"],
    });
    expect(findingsBox(withFindings("leaf 3", "leaf 4")).title).toBe("The audit found 2 faults");
  });

  test("of more than ten findings shows ten and how many there are", () => {
    const box = findingsBox(withFindings(...Array.from({ length: 100 }, (_, leaf) => `leaf ${leaf}`)));
    expect(box.title).toBe("The audit found 100 faults");
    expect(box.findings.slice(-2)).toEqual(["leaf 9", "and 90 more"]);
  });
});
