/**
 * Votes cast as any gRPC client would that follows the standard retry rules, with nothing of Urna's own: one channel over all
 * routers in turn, calls that wait for readiness, and a retry policy in its service config. Every call that fails is kept.
 */
import type { DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ChannelCredentials, Client, credentials, Metadata } from "@grpc/grpc-js";
import { outcomeOf, receiptOutcome, wireVote } from "#bench/story-caster.ts";
import type { SentVote, VoteLedger } from "#bench/vote-ledger.ts";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";

const serviceConfig = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{ service: VoteService.typeName }],
      retryPolicy: {
        maxAttempts: 5,
        initialBackoff: "0.1s",
        maxBackoff: "2s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
};

const deadlineMs = 20_000;

export class StockClient {
  readonly #client: Client;
  readonly #ledger: VoteLedger;
  readonly failures: string[] = [];
  /** Of the slowest call. */
  slowestMs = 0;
  answeredCalls = 0;

  /** In plaintext without credentials. */
  constructor(routers: readonly string[], ledger: VoteLedger, secured?: ChannelCredentials) {
    this.#ledger = ledger;
    this.#client = new Client(`ipv4:${routers.join(",")}`, secured ?? credentials.createInsecure(), {
      "grpc.enable_http_proxy": 0,
      "grpc.service_config": JSON.stringify(serviceConfig),
    });
  }

  async castOne(vote: SentVote): Promise<void> {
    const answer = await this.#call(VoteService.method.castVote, { vote: wireVote(vote) });
    this.#ledger.note(vote, answer === undefined ? { kind: "unknown" } : receiptOutcome(answer.receipt, answer.repeat));
  }

  /** An outcome that is no receipt counts as a failure, too. */
  async castBatch(votes: readonly SentVote[]): Promise<void> {
    const answer = await this.#call(VoteService.method.castVoteBatch, { votes: votes.map(wireVote) });
    for (const [i, vote] of votes.entries()) {
      const outcome = answer?.outcomes[i];
      const told = outcome === undefined ? ({ kind: "unknown" } as const) : outcomeOf(outcome);
      this.#ledger.note(vote, told);
      if (answer !== undefined && !("receipt" in told)) this.failures.push(JSON.stringify(told));
    }
  }

  close(): void {
    this.#client.close();
  }

  /** Undefined when the call has failed. */
  #call<Method extends DescMethodUnary>(
    method: Method,
    request: MessageInitShape<Method["input"]>,
  ): Promise<MessageShape<Method["output"]> | undefined> {
    const startedAtMs = performance.now();
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        `/${VoteService.typeName}/${method.name}`,
        (message: MessageShape<Method["input"]>) => Buffer.from(toBinary(method.input, message)),
        (bytes: Buffer) => fromBinary(method.output, bytes) as MessageShape<Method["output"]>,
        create(method.input, request) as MessageShape<Method["input"]>,
        new Metadata({ waitForReady: true }),
        { deadline: Date.now() + deadlineMs },
        (error, response) => {
          this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAtMs);
          if (error === null) this.answeredCalls++;
          else this.failures.push(`${method.name}: ${error.message}`);
          resolve(response);
        },
      );
    });
  }
}

/** Calls without end in the background until they are told to stop: single votes and batches. */
export class StockLoad implements AsyncDisposable {
  readonly #workers: Promise<void>[];
  #stopping = false;

  constructor(client: StockClient, nextVotes: (n: number) => SentVote[], batchVotes = 20) {
    const single = async () => {
      for (const vote of nextVotes(1)) await client.castOne(vote);
    };
    const batch = () => client.castBatch(nextVotes(batchVotes));
    this.#workers = [single, single, single, single, batch, batch].map((cast) => this.#work(cast));
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#workers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #work(cast: () => Promise<void>): Promise<void> {
    while (!this.#stopping) {
      await cast();
      // A steady load, not the highest: the machine has processes to start beside it.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
