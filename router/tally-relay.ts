/**
 * TallyService at the router, so that a browser needs one address. What the tally has published is answered from memory or
 * from Redis; the rest is passed on to the tally, and all of it without Redis. All who watch one region of one election share
 * one watch; each frame is encoded once, and a slow reader gets the latest.
 */
import { toBinary } from "@bufbuild/protobuf";
import type { Directory } from "#mesh/directory.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import type { Mesh } from "#mesh/mesh.ts";
import type { CallContext, ServiceImplementation } from "#mesh/service-call.ts";
import { EncodedMessage } from "#mesh/service-call.ts";
import type { FrameCut } from "#proto/frame-order.ts";
import type {
  GetTallyRequest,
  GetTallyResponse,
  GetTallyTableRequest,
  GetTallyTableResponse,
  WatchTallyRequest,
  WatchTallyResponse,
} from "#proto/generated/urna/v1/tally_service_pb.js";
import { TallyService, WatchTallyResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { deadlineDefaultMs } from "#proto/limits.ts";
import type { TallyView } from "#proto/published-tally.ts";
import { RejectionError } from "#proto/rejections.ts";
import { answerWithinMs } from "./call-deadline.ts";
import { peerRefusal } from "./peer-refusal.ts";
import { SharedWatch } from "./shared-watch.ts";
import type { FoundAnswer, TallyFanout } from "./tally-fanout.ts";
import type { ReadSource } from "./view-watch.ts";
import { ViewWatch } from "./view-watch.ts";

const watchersMax = 10_000;
const sharedWatchesMax = 1_000;
const watchNameLengthMax = 1_024;
/** Slow readers of a table that was published keep it in memory; beyond them the tally is asked, which bounds its own. */
const keptTableReadersMax = 16;
/** A caller with less time than this is not kept waiting for Redis first. */
const deadlineMsMinForRedis = 500;

type TallyClient = Client<typeof TallyService>;

export class TallyRelay {
  /** Answers by where they came from. */
  readonly reads = new Map<ReadSource, number>([
    ["memory", 0],
    ["redis", 0],
    ["tally", 0],
  ]);
  readonly #directory: Directory;
  readonly #identity: Identity | undefined;
  readonly #fanout: TallyFanout | undefined;
  readonly #stopListening: () => void;
  readonly #watches = new Map<string, SharedWatch<EncodedMessage>>();
  #address: string;
  #client: TallyClient;
  #keptTableReaders = 0;

  /** Without fan-out everything is asked of the tally. */
  constructor({ directory, identity }: Pick<Mesh, "directory" | "identity">, fanout?: TallyFanout) {
    this.#directory = directory;
    this.#identity = identity;
    this.#fanout = fanout;
    this.#address = directory.current.tally;
    this.#client = createClient(TallyService, this.#address, identity);
    this.#stopListening = directory.onChange(() => this.#follow());
  }

  get watchers(): number {
    return this.#watches.values().reduce((sum, watch) => sum + watch.watchers, 0);
  }

  /** To be bound with `bind`. */
  get service(): ServiceImplementation<typeof TallyService> {
    return {
      getTally: (request, call) => this.#tally(request, call),
      getTallyTable: (request, call) => this.#table(request, call),
      recount: (request, call) => relayed(this.#client.recount(request, passedOn(call))),
      watchTally: (request, call) => this.#watch(request, call),
    };
  }

  close(): void {
    this.#stopListening();
    for (const watch of this.#watches.values()) watch.end(new RejectionError("TALLY_UNAVAILABLE", "the router stops"));
    this.#fanout?.close();
    this.#client.close();
  }

  async #tally(
    { electionId, regionId }: GetTallyRequest,
    call: CallContext,
  ): Promise<GetTallyResponse | EncodedMessage> {
    const view = { kind: "region", electionId, regionId } as const;
    const startedAtMs = performance.now();
    const found = await this.#find(view, call);
    const [message] = found?.answer.messages ?? [];
    if (found !== undefined && message !== undefined) {
      this.#count(found.source);
      return message;
    }
    const options = passedOn(call, performance.now() - startedAtMs, call.deadlineMs ?? deadlineDefaultMs);
    const response = await this.#client.getTally({ electionId, regionId }, options).catch(unavailable);
    this.#passed(view, response.cut);
    return response;
  }

  async *#table(
    { electionId }: GetTallyTableRequest,
    call: CallContext,
  ): AsyncGenerator<GetTallyTableResponse | EncodedMessage, undefined> {
    const view = { kind: "table", electionId } as const;
    const startedAtMs = performance.now();
    const found = this.#keptTableReaders < keptTableReadersMax ? await this.#find(view, call) : undefined;
    if (found !== undefined) {
      this.#count(found.source);
      yield* this.#keptTable(found);
      return;
    }
    const options = passedOn(call, performance.now() - startedAtMs);
    let isFirst = true;
    for await (const part of relayed(this.#client.getTallyTable({ electionId }, options))) {
      if (isFirst) this.#passed(view, part.cut);
      isFirst = false;
      yield part;
    }
  }

  async *#keptTable({ answer }: FoundAnswer): AsyncGenerator<EncodedMessage, undefined> {
    this.#keptTableReaders += 1;
    try {
      yield* answer.messages;
    } finally {
      this.#keptTableReaders -= 1;
    }
  }

  async #find(
    view: TallyView,
    { deadlineMs = Number.POSITIVE_INFINITY }: CallContext,
  ): Promise<FoundAnswer | undefined> {
    const length = view.electionId.length + (view.kind === "region" ? view.regionId.length : 0);
    if (length > watchNameLengthMax) return undefined;
    return await this.#fanout?.find(view, deadlineMs >= deadlineMsMinForRedis);
  }

  /** The tally has answered: from now on its answers to this are listened for. */
  #passed(view: TallyView, cut: FrameCut | undefined): void {
    this.#count("tally");
    if (cut !== undefined) this.#fanout?.pass(view.electionId, cut);
    this.#fanout?.want(view);
  }

  #count(source: ReadSource): void {
    this.reads.set(source, (this.reads.get(source) ?? 0) + 1);
  }

  async *#watch(request: WatchTallyRequest, call: CallContext): AsyncGenerator<EncodedMessage, undefined> {
    const { electionId, regionId } = request;
    const name = `${electionId} ${regionId}`;
    if (name.length > watchNameLengthMax) throw new RejectionError("NOT_FOUND", "there is no region of such a name");
    if (this.watchers >= watchersMax) throw new RejectionError("OVERLOADED", "too many callers are watching");
    const watch = this.#watches.get(name) ?? this.#open(name, request);
    yield* watch.follow(call.signal);
  }

  #open(name: string, request: WatchTallyRequest): SharedWatch<EncodedMessage> {
    if (this.#watches.size >= sharedWatchesMax) {
      throw new RejectionError("OVERLOADED", "too many regions are being watched");
    }
    const abandon = new AbortController();
    const watch = new SharedWatch(this.#frames(request, abandon.signal), () => {
      if (this.#watches.get(name) === watch) this.#watches.delete(name);
      abandon.abort();
    });
    this.#watches.set(name, watch);
    return watch;
  }

  #frames(request: WatchTallyRequest, signal: AbortSignal): AsyncIterable<EncodedMessage> {
    const openDirect = (until: AbortSignal) => relayed(this.#client.watchTally(request, { signal: until }));
    const read = (source: ReadSource) => this.#count(source);
    if (this.#fanout === undefined) return encoded(openDirect(signal), read);
    const view = { kind: "region", electionId: request.electionId, regionId: request.regionId } as const;
    return new ViewWatch({ fanout: this.#fanout, view, openDirect, read }, signal).frames();
  }

  /** The tally has moved: calls under way on the old connection end with it. */
  #follow(): void {
    const { tally } = this.#directory.current;
    if (tally === this.#address) return;
    const old = this.#client;
    this.#address = tally;
    this.#client = createClient(TallyService, tally, this.#identity);
    old.close();
  }
}

/** With what the call has left, less what its answer needs on its way back. */
function passedOn(call: CallContext, goneMs = 0, deadlineMs = call.deadlineMs) {
  const { signal, trace } = call;
  if (deadlineMs === undefined) return { signal, trace };
  return { signal, trace, deadlineMs: Math.max(1, answerWithinMs(deadlineMs) - goneMs) };
}

/** What the tally answers to the question stays as it is; that it cannot be reached, or refuses this router, is said so. */
function unavailable(cause: unknown): never {
  const refusal = peerRefusal(cause);
  if (refusal !== undefined) throw new RejectionError("TALLY_UNAVAILABLE", `the tally cannot be reached: ${refusal}`);
  throw cause instanceof RejectionError ? cause : new RejectionError("TALLY_UNAVAILABLE");
}

async function* relayed<T>(messages: AsyncIterable<T>): AsyncGenerator<T, undefined> {
  try {
    yield* messages;
  } catch (cause) {
    unavailable(cause);
  }
}

async function* encoded(
  frames: AsyncIterable<WatchTallyResponse>,
  read: (source: ReadSource) => void,
): AsyncGenerator<EncodedMessage, undefined> {
  for await (const frame of frames) {
    read("tally");
    yield new EncodedMessage(toBinary(WatchTallyResponseSchema, frame));
  }
}
