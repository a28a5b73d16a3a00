/** Casts the votes of a story through one router or another, and notes in the ledger what each sending was told. */
import { setTimeout as delay } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError, createClient as createConnectClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import type { ReplayReceipt } from "#bench/replay-account.ts";
import type { SentVote, ToldOutcome, VoteLedger } from "#bench/vote-ledger.ts";
import { CallError } from "#mesh/call-error.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import { ErrorInfoSchema } from "#proto/generated/google/rpc/error_details_pb.js";
import type { Outcome, Receipt, VoteSchema } from "#proto/generated/urna/v1/vote_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { catalogueEntry, isRejectionReason, RejectionError } from "#proto/rejections.ts";

export type CastOptions = {
  /** Which router; default the first. */
  readonly router?: number;
  readonly deadlineMs?: number;
  /** How long a vote may stay without a final outcome; default 45 s. */
  readonly patienceMs?: number;
};

const deadlineMsDefault = 10_000;
const patienceMsDefault = 45_000;

export class StoryCaster {
  readonly #routers: readonly string[];
  readonly #ledger: VoteLedger;
  readonly #clients: readonly Client<typeof VoteService>[];

  constructor(routers: readonly string[], ledger: VoteLedger, identity?: Identity) {
    this.#routers = routers;
    this.#ledger = ledger;
    this.#clients = routers.map((address) => createClient(VoteService, address, identity));
  }

  /** One unary call. Throws when the router answered something that is none of its business. */
  async castOne(vote: SentVote, { router = 0, deadlineMs = deadlineMsDefault }: CastOptions = {}) {
    const told = await this.client(router)
      .castVote({ vote: wireVote(vote) }, { deadlineMs })
      .then(
        ({ receipt, repeat }) => receiptOutcome(receipt, repeat),
        (cause: unknown) => failureOutcome(cause),
      );
    this.#ledger.note(vote, told);
    return told;
  }

  /** One batch; a call that fails as a whole has told each vote so. */
  async castBatch(votes: readonly SentVote[], { router = 0, deadlineMs = deadlineMsDefault }: CastOptions = {}) {
    const told = await this.client(router)
      .castVoteBatch({ votes: votes.map(wireVote) }, { deadlineMs })
      .then(
        ({ outcomes }) => {
          if (outcomes.length !== votes.length) throw new Error(`${votes.length} votes, ${outcomes.length} outcomes`);
          return outcomes.map(outcomeOf);
        },
        (cause: unknown) => votes.map(() => failureOutcome(cause)),
      );
    for (const [i, vote] of votes.entries()) this.#ledger.note(vote, told[i] ?? { kind: "unknown" });
    return told;
  }

  /** One message of a stream. */
  async castInStream(vote: SentVote, { router = 0, deadlineMs = deadlineMsDefault }: CastOptions = {}) {
    const call = this.client(router).castVotes({ deadlineMs });
    call.send({ sequence: 7n, vote: wireVote(vote) });
    call.end();
    const told: ToldOutcome[] = [];
    for await (const { sequence, outcome } of call.responses) {
      if (sequence === 7n && outcome !== undefined) told.push(outcomeOf(outcome));
    }
    const [only] = told;
    if (only === undefined || told.length !== 1) throw new Error(`${told.length} outcomes of one vote (I4)`);
    this.#ledger.note(vote, only);
    return only;
  }

  /** Through the Connect protocol with JSON, as a browser or curl sends it. */
  async castAsJson(vote: SentVote, baseUrl: string): Promise<ToldOutcome> {
    const transport = createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false });
    const told = await createConnectClient(VoteService, transport)
      .castVote({ vote: wireVote(vote) })
      .then(
        ({ receipt, repeat }) => receiptOutcome(receipt, repeat),
        (cause: unknown) => {
          const [info] = ConnectError.from(cause).findDetails(ErrorInfoSchema);
          if (info === undefined) throw cause;
          return refusal(info.reason);
        },
      );
    this.#ledger.note(vote, told);
    return told;
  }

  /** Sends again what is not settled, each time through the next router, until every vote has its final outcome (I4). */
  async castUntilSettled(votes: readonly SentVote[], options: CastOptions = {}): Promise<ToldOutcome[]> {
    const final: ToldOutcome[] = new Array(votes.length);
    const untilMs = performance.now() + (options.patienceMs ?? patienceMsDefault);
    let waiting = [...votes.keys()];
    for (let turn = 0; waiting.length > 0; turn++) {
      if (performance.now() > untilMs) throw new Error(`${waiting.length} votes without an outcome for too long (I4)`);
      if (turn > 0) await delay(Math.min(25 * 2 ** turn, 400));
      const router = ((options.router ?? 0) + turn) % this.#routers.length;
      const told = await this.castBatch(
        waiting.map((at) => votes[at] as SentVote),
        { ...options, router },
      );
      for (const [i, at] of waiting.entries()) final[at] = told[i] ?? { kind: "unknown" };
      waiting = waiting.filter((at) => isPassing(final[at] as ToldOutcome));
    }
    return final;
  }

  client(router: number): Client<typeof VoteService> {
    const client = this.#clients[router % this.#clients.length];
    if (client === undefined) throw new Error("a story without routers");
    return client;
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}

/** Sending the same vote again may be answered better. */
function isPassing(told: ToldOutcome): boolean {
  if (told.kind === "unknown") return true;
  return told.kind === "refused" && isRejectionReason(told.reason) && catalogueEntry(told.reason).retryable;
}

export function wireVote(vote: SentVote): MessageInitShape<typeof VoteSchema> {
  const { electionId, voterId, regionId, selections, idempotencyKey } = vote;
  return {
    electionId,
    voter: { case: "voterId", value: voterId },
    regionId,
    selections: selections.map(({ contestId, optionIds }) => ({ contestId, optionIds: [...optionIds] })),
    idempotencyKey,
  };
}

export function outcomeOf({ result, repeat }: Outcome): ToldOutcome {
  if (result.case === "receipt") return receiptOutcome(result.value, repeat);
  if (result.case === "rejection") return refusal(result.value.reason);
  throw new Error("an outcome that is neither receipt nor rejection (I4)");
}

export function receiptOutcome(receipt: Receipt | undefined, repeat: boolean): ToldOutcome {
  if (receipt === undefined) throw new Error("an acknowledgement without a receipt");
  return { kind: repeat ? "repeat" : "recorded", receipt: plainReceipt(receipt) };
}

export function plainReceipt({ receiptId, logOrigin, leafIndex }: Receipt): ReplayReceipt {
  return { receiptId, logOrigin, leafIndex: Number(leafIndex) };
}

/** A call that failed without one of our reasons may have been stored. */
export function failureOutcome(cause: unknown): ToldOutcome {
  if (cause instanceof RejectionError) return refusal(cause.reason);
  if (cause instanceof CallError) return { kind: "unknown" };
  throw cause;
}

function refusal(reason: string): ToldOutcome {
  return reason === "OUTCOME_UNKNOWN" ? { kind: "unknown" } : { kind: "refused", reason };
}
