/**
 * Calls of VoteService with messages that are encoded already, over connections to several routers. Routers may die and
 * come back at the same address: a link that just failed is passed over while another one is there.
 */
import type { ChannelOptions, ServiceError } from "@grpc/grpc-js";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { CallError, callErrorCode } from "#mesh/call-error.ts";
import type { Identity } from "#mesh/identity.ts";
import { rejectionFromStatus } from "#mesh/rejection-status.ts";
import { transportBytesMax } from "#proto/limits.ts";

const castVoteBatchPath = "/urna.v1.VoteService/CastVoteBatch";

const channelOptions: ChannelOptions = {
  "grpc.use_local_subchannel_pool": 1,
  // A router that is back must be found at once: the default waits up to two minutes.
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 500,
  "grpc.max_receive_message_length": transportBytesMax,
  "grpc.max_send_message_length": -1,
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_retries": 0,
  "grpc.enable_channelz": 0,
};

/** How long a link that failed is passed over. */
const distrustMs = 300;

const sameBytes = (bytes: Buffer) => bytes;

export type BatchCall = {
  /** An encoded CastVoteBatchRequest. */
  readonly message: Buffer;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
};

/** One connection to one router. */
export class VoteLink {
  readonly address: string;
  readonly #client: Client;
  #outstanding = 0;
  #distrustedUntilMs = 0;

  constructor(address: string, identity: Identity | undefined) {
    this.address = address;
    const secured = identity?.channelCredentials(["router"]);
    this.#client = new Client(address, secured ?? credentials.createInsecure(), channelOptions);
  }

  get outstanding(): number {
    return this.#outstanding;
  }

  trusted(nowMs: number): boolean {
    return nowMs >= this.#distrustedUntilMs;
  }

  /** Resolves to an encoded CastVoteBatchResponse. Fails with RejectionError, or CallError when the outcome is open. */
  async castBatch({ message, deadlineMs, signal }: BatchCall): Promise<Buffer> {
    this.#outstanding++;
    try {
      return await this.#unary(castVoteBatchPath, message, deadlineMs, signal);
    } catch (error) {
      if (error instanceof CallError) this.#distrustedUntilMs = performance.now() + distrustMs;
      throw error;
    } finally {
      this.#outstanding--;
    }
  }

  close(): void {
    this.#client.close();
  }

  #unary(path: string, message: Buffer, deadlineMs: number, signal: AbortSignal): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + deadlineMs };
      const call = this.#client.makeUnaryRequest(
        path,
        sameBytes,
        sameBytes,
        message,
        new Metadata(),
        options,
        (error, response) => {
          signal.removeEventListener("abort", cancel);
          if (error !== null) reject(failureOf(error));
          else resolve(response ?? Buffer.alloc(0));
        },
      );
      const cancel = () => call.cancel();
      if (signal.aborted) cancel();
      signal.addEventListener("abort", cancel, { once: true });
    });
  }
}

function failureOf(error: ServiceError): Error {
  return rejectionFromStatus(error) ?? new CallError(callErrorCode(error.code), error.details);
}

/** Links to all routers; `pick` spreads calls by how many are outstanding. */
export class VoteLinks {
  readonly #links: readonly VoteLink[];
  #turn = 0;

  constructor(addresses: readonly string[], identity: Identity | undefined) {
    if (addresses.length === 0) throw new RangeError("VoteLinks: no router");
    this.#links = addresses.map((address) => new VoteLink(address, identity));
  }

  /** The trusted link with the fewest calls; another one than `avoid` where there is one. */
  pick(avoid: VoteLink | undefined): VoteLink {
    const nowMs = performance.now();
    const turn = this.#turn++;
    let best: { link: VoteLink; rank: number } | undefined;
    for (let i = 0; i < this.#links.length; i++) {
      const link = this.#links[(turn + i) % this.#links.length] as VoteLink;
      const rank = (link.trusted(nowMs) ? 0 : 2e9) + (link === avoid ? 1e9 : 0) + link.outstanding;
      if (best === undefined || rank < best.rank) best = { link, rank };
    }
    return (best as { link: VoteLink }).link;
  }

  close(): void {
    for (const link of this.#links) link.close();
  }
}
