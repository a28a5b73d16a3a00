/** An election for tests of one shard: what a router would make of it, without a router. */
import { createCipheriv, createHash, createHmac, randomBytes } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { SentVote } from "#bench/vote-ledger.ts";
import { type ElectionShape, electionShape, encodeBallot } from "#proto/election-shape.ts";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import {
  ContestKind,
  ElectionDefinitionSchema,
  KeyKind,
  ResultsVisibility,
} from "#proto/generated/urna/v1/election_pb.js";
import type { RecordVotesRequestSchema } from "#proto/generated/urna/v1/shard_service_pb.js";
import { keyHashBytes, nullifierBytes } from "#proto/limits.ts";
import { slotOf } from "#proto/slots.ts";

export const rigContest = "contest";
export const rigOptions = ["ada", "bob", "cid"] as const;
export const rigRegions = ["north/one", "north/two", "south/one"] as const;

export type VoteFrame = MessageInitShape<typeof RecordVotesRequestSchema>;

export class RigElection {
  readonly id: string;
  readonly definition: ElectionDefinition;
  readonly shape: ElectionShape;
  readonly wrappedKey: Buffer;
  readonly #key = randomBytes(32);
  #voters = 0;

  constructor(id: string, routerKey: Uint8Array, schedule: { readonly closesAtMs?: number } = {}) {
    this.id = id;
    this.definition = create(ElectionDefinitionSchema, {
      electionId: id,
      title: id,
      keyKind: KeyKind.VOTER,
      results: ResultsVisibility.LIVE,
      regions: rigRegions.map((regionId) => ({ regionId, title: regionId })),
      contests: [
        {
          contestId: rigContest,
          kind: ContestKind.PLURALITY,
          options: rigOptions.map((optionId) => ({ optionId, title: optionId })),
        },
      ],
      ...(schedule.closesAtMs === undefined ? {} : { closesAt: timestampFromMs(schedule.closesAtMs) }),
    });
    this.shape = electionShape(this.definition);
    this.wrappedKey = wrap(routerKey, id, this.#key);
  }

  /** Votes of voters nobody has heard of, each with a key of its own, spread over regions and options. */
  fresh(n: number): SentVote[] {
    return Array.from({ length: n }, () => {
      const i = this.#voters++;
      return this.vote(`${this.id}-voter-${i}`, i);
    });
  }

  /** This voter's vote, with a new key. */
  vote(voterId: string, choice = 0): SentVote {
    return {
      electionId: this.id,
      voterId,
      regionId: rigRegions[choice % rigRegions.length] ?? "",
      selections: [
        { contestId: rigContest, optionIds: [rigOptions[(choice + (choice >> 2)) % rigOptions.length] ?? ""] },
      ],
      idempotencyKey: randomBytes(16),
    };
  }

  /** As hex: what the shard knows the voter by. */
  nullifierOf(vote: SentVote): string {
    return this.#nullifier(vote).toString("hex");
  }

  slotOf(vote: SentVote): number {
    return slotOf(this.#nullifier(vote));
  }

  /** The votes as a router sends them. */
  frame(votes: readonly SentVote[], deadlineMs: number): VoteFrame {
    const ballots = votes.map((vote) => this.#ballot(vote));
    return {
      mapEpoch: 1n,
      electionId: this.id,
      definitionHash: this.shape.definitionHash,
      nullifiers: Buffer.concat(votes.map((vote) => this.#nullifier(vote))),
      keyHashes: Buffer.concat(votes.map(({ idempotencyKey }) => keyHash(idempotencyKey))),
      regions: votes.map(({ regionId }) => this.shape.leafOrdinals.get(regionId) ?? -1),
      ballots: Buffer.concat(ballots),
      ballotLengths: ballots.map(({ length }) => length),
      deadlineMs: votes.map(() => deadlineMs),
    };
  }

  #nullifier({ voterId }: SentVote): Buffer {
    return createHmac("sha256", this.#key).update(voterId).digest().subarray(0, nullifierBytes);
  }

  #ballot({ selections }: SentVote): Buffer {
    return encodeBallot(
      selections.flatMap(({ contestId, optionIds }) => {
        const cells = this.shape.contests.get(contestId)?.optionCells;
        return optionIds.map((optionId) => cells?.get(optionId) ?? -1);
      }),
    );
  }
}

/** The same vote by somebody who did not keep a key. */
export function withoutKey(vote: SentVote): SentVote {
  return { ...vote, idempotencyKey: new Uint8Array() };
}

/** The same voter and key with another choice. */
export function choosing(vote: SentVote, optionId: (typeof rigOptions)[number]): SentVote {
  return { ...vote, selections: [{ contestId: rigContest, optionIds: [optionId] }] };
}

function keyHash(idempotencyKey: Uint8Array): Buffer {
  if (idempotencyKey.length === 0) return Buffer.alloc(keyHashBytes);
  return createHash("sha256").update(idempotencyKey).digest().subarray(0, keyHashBytes);
}

function wrap(routerKey: Uint8Array, electionId: string, key: Uint8Array): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", routerKey, nonce);
  cipher.setAAD(Buffer.from(electionId));
  return Buffer.concat([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()]);
}
