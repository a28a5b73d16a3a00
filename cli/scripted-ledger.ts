/**
 * For tests: a router on loopback that casts votes into a real log of one shard, and whose every answer a test can bend. It
 * stands where a router would that is not to be trusted.
 */
import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { HostPort } from "#mesh/host-port.ts";
import { definitionHash } from "#proto/election-shape.ts";
import type { Election } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionDefinitionSchema, ElectionSchema } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import type { Receipt } from "#proto/generated/urna/v1/vote_pb.js";
import { ReceiptSchema } from "#proto/generated/urna/v1/vote_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { formatCheckpoint } from "#proto/ledger/checkpoint.ts";
import { encodeLeafEntry } from "#proto/ledger/leaf-entry.ts";
import { leafHash } from "#proto/ledger/merkle-hash.ts";
import { ReferenceTree } from "#proto/ledger/reference-tree.ts";
import { formatVerifierKey, generateLedgerKey, noteSigner, publicKeyOf, signNote } from "#proto/ledger/signed-note.ts";
import { formatReceiptId } from "#proto/receipt-id.ts";
import { RejectionError } from "#proto/rejections.ts";
import { keyHashOf } from "./receipt-proof.ts";

export type Inclusion = { hashes: Uint8Array[]; entry: Uint8Array };

/** What a test makes of an honest answer. */
export type Bends = {
  receipt?: (receipt: Receipt) => Receipt | undefined;
  election?: (election: Election) => Election | undefined;
  verifierKeys?: (keys: { shardId: number; verifierKey: string }[]) => { shardId: number; verifierKey: string }[];
  checkpoint?: (note: Buffer) => Uint8Array;
  /** Of the checkpoint that is answered; the honest one is the number of leaves. */
  checkpointSize?: (leaves: number) => number;
  inclusion?: (inclusion: Inclusion, request: { leafIndex: bigint; treeSize: bigint }) => Inclusion;
};

export const electionId = "town";
export const otherVotes = 6;

export class ScriptedLedger {
  readonly key = generateLedgerKey();
  readonly origin: string;
  readonly verifierKey: string;
  readonly definition = create(ElectionDefinitionSchema, { electionId, title: "Town" });
  readonly entries: Buffer[] = [];
  readonly #receipts = new Map<string, Receipt>();
  bends: Bends = {};
  #server: GrpcServer | undefined;
  #bound: HostPort | undefined;

  constructor(deployment = "urna") {
    this.origin = `${deployment}/shard/0`;
    this.verifierKey = formatVerifierKey(this.origin, publicKeyOf(this.key));
    for (let i = 0; i < otherVotes; i++) this.#record(randomBytes(16));
  }

  async start(): Promise<this> {
    this.#server = new GrpcServer([this.#votes(), this.#elections(), this.#ledger()]);
    this.#bound = await this.#server.listen("127.0.0.1:0");
    return this;
  }

  get address(): string {
    return `127.0.0.1:${this.#bound?.port ?? 0}`;
  }

  async stop(): Promise<void> {
    await this.#server?.close(0);
  }

  /** Votes of other voters come in. */
  grow(votes: number): void {
    for (let i = 0; i < votes; i++) this.#record(randomBytes(16));
  }

  /** An entry of a vote that was cast with this key. */
  entry(idempotencyKey: Uint8Array, change: { electionId?: string; definitionHash?: Buffer } = {}): Buffer {
    return encodeLeafEntry({
      electionId,
      definitionHash: definitionHash(this.definition),
      nullifier: randomBytes(16),
      keyHash: keyHashOf(idempotencyKey),
      commitment: randomBytes(32),
      ...change,
    });
  }

  tree(): ReferenceTree {
    return new ReferenceTree(this.entries.map(leafHash));
  }

  signedCheckpoint(size: number, origin = this.origin, key = this.key): Buffer {
    const text = formatCheckpoint({ origin, size, root: this.tree().root(0, size), extensions: [] });
    return signNote(text, noteSigner(origin, key));
  }

  #record(idempotencyKey: Uint8Array): Receipt {
    const leafIndex = BigInt(this.entries.push(this.entry(idempotencyKey)) - 1);
    const receiptId = formatReceiptId({ shardId: 0, leafIndex });
    const receipt = create(ReceiptSchema, { receiptId, electionId, logOrigin: this.origin, leafIndex });
    this.#receipts.set(Buffer.from(idempotencyKey).toString("hex"), receipt);
    return receipt;
  }

  #bent(receipt: Receipt) {
    const bent = this.bends.receipt === undefined ? receipt : this.bends.receipt(receipt);
    return bent === undefined ? {} : { receipt: bent };
  }

  #votes() {
    return bind(VoteService, {
      castVote: async ({ vote }) => this.#bent(this.#record(vote?.idempotencyKey ?? new Uint8Array())),
      castVoteBatch: refuse,
      // biome-ignore lint/correctness/useYield: not asked for here.
      castVotes: async function* () {
        await refuse();
      },
      getReceipt: async ({ idempotencyKey }) => {
        const receipt = this.#receipts.get(Buffer.from(idempotencyKey).toString("hex"));
        return receipt === undefined ? refuse() : this.#bent(receipt);
      },
    });
  }

  #elections() {
    const election = create(ElectionSchema, {
      definition: this.definition,
      definitionHash: definitionHash(this.definition),
    });
    return bind(ElectionService, {
      createElection: refuse,
      openElection: refuse,
      closeElection: refuse,
      listElections: refuse,
      getElection: async () => {
        const bent = this.bends.election === undefined ? election : this.bends.election(election);
        return bent === undefined ? {} : { election: bent };
      },
    });
  }

  #ledger() {
    return bind(LedgerService, {
      getCheckpoint: async () => {
        const size = this.bends.checkpointSize?.(this.entries.length) ?? this.entries.length;
        const note = this.signedCheckpoint(size);
        return { signedNote: this.bends.checkpoint?.(note) ?? note };
      },
      getInclusionProof: async (request) => {
        const { leafIndex, treeSize } = request;
        const index = Number(leafIndex);
        const hashes = this.tree().path(index, 0, Number(treeSize));
        const inclusion = { hashes, entry: this.entries[index] ?? Buffer.alloc(0) };
        return this.bends.inclusion?.(inclusion, request) ?? inclusion;
      },
      getConsistencyProof: refuse,
      getVerifierKeys: async () => {
        const keys = [{ shardId: 0, verifierKey: this.verifierKey }];
        return { keys: this.bends.verifierKeys?.(keys) ?? keys };
      },
      getElectionResult: refuse,
      acceptLoss: refuse,
    });
  }
}

async function refuse(): Promise<never> {
  throw new RejectionError("NOT_FOUND", "no vote was recorded with this idempotency key");
}
