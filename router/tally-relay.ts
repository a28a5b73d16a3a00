/**
 * TallyService, passed on to the tally so that a browser needs one address. All who watch one region of one election share
 * one watch at the tally; each frame is encoded once, and a slow reader gets the latest.
 */
import { toBinary } from "@bufbuild/protobuf";
import type { Directory } from "#mesh/directory.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { CallContext, ServiceImplementation } from "#mesh/service-call.ts";
import { EncodedMessage } from "#mesh/service-call.ts";
import type { WatchTallyRequest } from "#proto/generated/urna/v1/tally_service_pb.js";
import { TallyService, WatchTallyResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { SharedWatch } from "./shared-watch.ts";

const watchersMax = 10_000;
const sharedWatchesMax = 1_000;
const watchNameLengthMax = 1_024;

type TallyClient = Client<typeof TallyService>;

export class TallyRelay {
  readonly #directory: Directory;
  readonly #stopListening: () => void;
  readonly #watches = new Map<string, SharedWatch<EncodedMessage>>();
  #address: string;
  #client: TallyClient;

  constructor(directory: Directory) {
    this.#directory = directory;
    this.#address = directory.current.tally;
    this.#client = createClient(TallyService, this.#address);
    this.#stopListening = directory.onChange(() => this.#follow());
  }

  get watchers(): number {
    return this.#watches.values().reduce((sum, watch) => sum + watch.watchers, 0);
  }

  /** To be bound with `bind`. */
  get service(): ServiceImplementation<typeof TallyService> {
    return {
      getTally: (request, call) => this.#client.getTally(request, passedOn(call)).catch(unavailable),
      getTallyTable: (request, call) => relayed(this.#client.getTallyTable(request, passedOn(call))),
      recount: (request, call) => relayed(this.#client.recount(request, passedOn(call))),
      watchTally: (request, call) => this.#watch(request, call),
    };
  }

  close(): void {
    this.#stopListening();
    for (const watch of this.#watches.values()) watch.end(new RejectionError("TALLY_UNAVAILABLE", "the router stops"));
    this.#client.close();
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
    const frames = relayed(this.#client.watchTally(request, { signal: abandon.signal }));
    const watch = new SharedWatch(encoded(frames), () => {
      if (this.#watches.get(name) === watch) this.#watches.delete(name);
      abandon.abort();
    });
    this.#watches.set(name, watch);
    return watch;
  }

  /** The tally has moved: calls under way on the old connection end with it. */
  #follow(): void {
    const { tally } = this.#directory.current;
    if (tally === this.#address) return;
    const old = this.#client;
    this.#address = tally;
    this.#client = createClient(TallyService, tally);
    old.close();
  }
}

function passedOn({ signal, deadlineMs }: CallContext) {
  return deadlineMs === undefined ? { signal } : { signal, deadlineMs };
}

/** What the tally refuses stays as it is; that it cannot be reached is said so. */
function unavailable(cause: unknown): never {
  throw cause instanceof RejectionError ? cause : new RejectionError("TALLY_UNAVAILABLE");
}

async function* relayed<T>(messages: AsyncIterable<T>): AsyncGenerator<T, undefined> {
  try {
    yield* messages;
  } catch (cause) {
    unavailable(cause);
  }
}

async function* encoded(frames: ReturnType<TallyClient["watchTally"]>): AsyncGenerator<EncodedMessage, undefined> {
  for await (const frame of frames) yield new EncodedMessage(toBinary(WatchTallyResponseSchema, frame));
}
