/** The three ways to cast votes, as a load generator uses them: raw grpc-js, messages encoded already, answers hardly read. */
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { LogNames, OutcomeReader } from "#bench/outcome-reader.ts";
import type { Workload } from "#bench/workload.ts";

/** What became of the votes of one sending. Nothing is sent again: a load test counts what was refused. */
export type SendOutcome = { readonly acknowledged: number; readonly refused: number; readonly failed: number };

export type VoteSender = {
  readonly method: "CastVote" | "CastVotes" | "CastVoteBatch";
  readonly votesPerSend: number;
  /** Calls back exactly once. */
  send(done: (outcome: SendOutcome) => void): void;
  close(): void;
};

const deadlineMs = 10_000;
const noMetadata = new Metadata();
const sameBytes = (bytes: Buffer) => bytes;
const acknowledgedOne: SendOutcome = { acknowledged: 1, refused: 0, failed: 0 };
const refusedOne: SendOutcome = { acknowledged: 0, refused: 1, failed: 0 };
const failedOne: SendOutcome = { acknowledged: 0, refused: 0, failed: 1 };

function clientsOf(routers: readonly string[], connectionsEach: number): Client[] {
  const channelOptions = { "grpc.use_local_subchannel_pool": 1, "grpc.max_receive_message_length": -1 };
  return Array.from({ length: connectionsEach }, () => routers)
    .flat()
    .map((address) => new Client(address, credentials.createInsecure(), channelOptions));
}

/** One vote a call; calls go to the routers in turn. */
export class UnarySender implements VoteSender {
  readonly method = "CastVote";
  readonly votesPerSend = 1;
  readonly #workload: Workload;
  readonly #clients: readonly Client[];
  #turn = 0;

  constructor(workload: Workload, routers: readonly string[], connectionsEach = 1) {
    this.#workload = workload;
    this.#clients = clientsOf(routers, connectionsEach);
  }

  send(done: (outcome: SendOutcome) => void): void {
    const client = this.#clients[this.#turn++ % this.#clients.length] as Client;
    const message = this.#workload.next(1);
    const options = { deadline: Date.now() + deadlineMs };
    client.makeUnaryRequest(
      "/urna.v1.VoteService/CastVote",
      sameBytes,
      sameBytes,
      message,
      noMetadata,
      options,
      (error) => done(error === null ? acknowledgedOne : refusals.has(error.code) ? refusedOne : failedOne),
    );
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}

const refusals: ReadonlySet<number> = new Set([
  status.INVALID_ARGUMENT,
  status.ALREADY_EXISTS,
  status.RESOURCE_EXHAUSTED,
  status.FAILED_PRECONDITION,
]);

/** Up to 1,000 votes a call. */
export class BatchSender implements VoteSender {
  readonly method = "CastVoteBatch";
  readonly votesPerSend: number;
  readonly #workload: Workload;
  readonly #clients: readonly Client[];
  readonly #logs = new LogNames();
  #turn = 0;

  constructor(workload: Workload, routers: readonly string[], votesPerSend = 1_000) {
    this.#workload = workload;
    this.#clients = clientsOf(routers, 1);
    this.votesPerSend = votesPerSend;
  }

  send(done: (outcome: SendOutcome) => void): void {
    const client = this.#clients[this.#turn++ % this.#clients.length] as Client;
    const message = this.#workload.next(this.votesPerSend);
    const options = { deadline: Date.now() + deadlineMs };
    const path = "/urna.v1.VoteService/CastVoteBatch";
    client.makeUnaryRequest(path, sameBytes, sameBytes, message, noMetadata, options, (error, response) =>
      done(error === null && response !== undefined ? this.#count(response) : failed(this.votesPerSend)),
    );
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  #count(response: Buffer): SendOutcome {
    const reader = new OutcomeReader(response, this.#logs);
    let acknowledged = 0;
    let read = 0;
    for (; reader.next(); read++) if (reader.isReceipt) acknowledged++;
    if (read !== this.votesPerSend)
      throw new Error(`${this.votesPerSend} votes were answered with ${read} outcomes (I4)`);
    return { acknowledged, refused: read - acknowledged, failed: 0 };
  }
}

function failed(votes: number): SendOutcome {
  return { acknowledged: 0, refused: 0, failed: votes };
}

type VoteStream = ClientDuplexStream<Buffer, Buffer>;

/** One vote a message, on one stream to each router. */
export class StreamSender implements VoteSender {
  readonly method = "CastVotes";
  readonly votesPerSend = 1;
  readonly #workload: Workload;
  readonly #clients: readonly Client[];
  readonly #streams: readonly VoteStream[];
  readonly #waiting = new Map<number, (outcome: SendOutcome) => void>();
  #sequence = 0;

  constructor(workload: Workload, routers: readonly string[]) {
    this.#workload = workload;
    this.#clients = clientsOf(routers, 1);
    this.#streams = this.#clients.map((client) => this.#open(client));
  }

  send(done: (outcome: SendOutcome) => void): void {
    const sequence = ++this.#sequence;
    this.#waiting.set(sequence, done);
    this.#streams[sequence % this.#streams.length]?.write(streamRequest(sequence, this.#workload.next(1)));
  }

  close(): void {
    for (const stream of this.#streams) stream.cancel();
    for (const client of this.#clients) client.close();
  }

  #open(client: Client): VoteStream {
    const stream = client.makeBidiStreamRequest("/urna.v1.VoteService/CastVotes", sameBytes, sameBytes, noMetadata);
    stream.on("data", (response: Buffer) => this.#settle(response));
    stream.on("error", () => this.#failAll());
    return stream;
  }

  #settle(response: Buffer): void {
    const { sequence, isReceipt } = readStreamResponse(response);
    const done = this.#waiting.get(sequence);
    if (done === undefined) throw new Error(`sequence ${sequence} was answered twice, or never asked (I4)`);
    this.#waiting.delete(sequence);
    done(isReceipt ? acknowledgedOne : refusedOne);
  }

  /** Whatever stream broke, the measurement is over; which votes were on it no longer matters. */
  #failAll(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const done of waiting) done(failedOne);
  }
}

/** CastVotesRequest: field 1 the sequence, field 2 the vote, which in CastVoteRequest is field 1. */
export function streamRequest(sequence: number, castVoteRequest: Buffer): Buffer {
  const message = Buffer.allocUnsafe(11 + castVoteRequest.length);
  message[0] = 0x08;
  let at = 1;
  for (let rest = sequence; ; rest = Math.floor(rest / 0x80)) {
    message[at++] = rest >= 0x80 ? (rest % 0x80) + 0x80 : rest;
    if (rest < 0x80) break;
  }
  castVoteRequest.copy(message, at);
  message[at] = 0x12;
  return message.subarray(0, at + castVoteRequest.length);
}

/** CastVotesResponse as a server writes it: the sequence, then the outcome, whose first field says what it is. */
export function readStreamResponse(response: Buffer): { sequence: number; isReceipt: boolean } {
  if (response[0] !== 0x08) throw new Error("a streamed response does not begin with its sequence");
  let sequence = 0;
  let at = 1;
  for (let scale = 1; ; scale *= 0x80) {
    const byte = response[at++] ?? 0;
    sequence += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  if (response[at++] !== 0x12) throw new Error("a streamed response has no outcome");
  while ((response[at++] ?? 0) >= 0x80);
  return { sequence, isReceipt: response[at] === 0x0a };
}
