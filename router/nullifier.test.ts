import { createHash, createHmac, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { identityBytes, NullifierMaker } from "./nullifier.ts";
import { ReceivedVotes } from "./received-votes.ts";

function voteOf(voterId: string, idempotencyKey: Uint8Array): ReceivedVotes {
  const votes = new ReceivedVotes(1);
  const voter = { case: "voterId", value: voterId } as const;
  votes.add({ electionId: "e", voter, regionId: "", selections: [], idempotencyKey });
  return votes;
}

const voterIds = ["a", "voter-17", "!~", "x".repeat(55), "x".repeat(56), "x".repeat(128)];

test("a nullifier is the HMAC-SHA256 of the voter ID under the election key, cut to 16 bytes", () => {
  for (const key of [randomBytes(32), randomBytes(32)]) {
    const maker = new NullifierMaker(key);
    for (const voterId of [...voterIds, ...voterIds.toReversed()]) {
      const identity = Buffer.alloc(identityBytes, 0xff);
      maker.writeIdentity(identity, 0, voteOf(voterId, new Uint8Array()), 0);
      const hmac = createHmac("sha256", key).update(voterId).digest();
      expect(identity.subarray(0, 16)).toEqual(hmac.subarray(0, 16));
      expect(identity.subarray(16)).toEqual(Buffer.alloc(16));
    }
  }
});

test("a key hash is the SHA-256 of the idempotency key, cut to 16 bytes", () => {
  for (const bytes of [32, 16, 24]) {
    const idempotencyKey = randomBytes(bytes);
    const identity = Buffer.alloc(3 + identityBytes);
    new NullifierMaker(randomBytes(32)).writeIdentity(identity, 3, voteOf("v", idempotencyKey), 0);
    expect(identity.subarray(19)).toEqual(createHash("sha256").update(idempotencyKey).digest().subarray(0, 16));
  }
});
