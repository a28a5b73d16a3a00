/** TallyService: answers from frames that are made already. Nothing that a reader asks reaches the write path. */

import type { CallContext, EncodedMessage, ServiceImplementation } from "#mesh/service-call.ts";
import type {
  GetTallyRequest,
  GetTallyResponse,
  GetTallyTableRequest,
  GetTallyTableResponse,
  RecountRequest,
  RecountResponse,
  TallyService,
  WatchTallyRequest,
} from "#proto/generated/urna/v1/tally_service_pb.js";
import { answerMarginMs, deadlineMsMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";
import { tickMs } from "./config.ts";
import type { Frame } from "./frame.ts";
import type { FrameHolder, FrameHolders } from "./frame-holders.ts";
import type { FrameMaker } from "./frame-maker.ts";
import { recount } from "./recount.ts";
import type { RowCounter } from "./shard-rows.ts";
import { tableRows } from "./table-rows.ts";
import type { Watchers } from "./watchers.ts";

export type TallyServiceParts = {
  readonly frames: FrameMaker;
  readonly watchers: Watchers;
  readonly tableHolders: FrameHolders;
  readonly recountHolders: FrameHolders;
  readonly countRows: RowCounter;
  /** All shards that there are. */
  shardIds(): Iterable<number>;
  readonly limits: TallyServiceLimits;
};

export type TallyServiceLimits = {
  /** How long a call waits for word of an election that the tally has not heard of: it may just have been created. */
  readonly unknownElectionWaitMs: number;
  /** Calls that may wait so at once; further ones are answered at once. */
  readonly waitingCallsMax: number;
  /** Regions in one message of a table. */
  readonly tableRegionsMax: number;
};

/** To be bound with `bind`. */
export class TallyCalls implements ServiceImplementation<typeof TallyService> {
  readonly #parts: TallyServiceParts;

  constructor(parts: TallyServiceParts) {
    this.#parts = parts;
  }

  async getTally({ electionId, regionId }: GetTallyRequest, call: CallContext): Promise<GetTallyResponse> {
    const frame = await this.#frameWith(electionId, call);
    return frame.tally(electionId, regionId);
  }

  async *watchTally({ electionId, regionId }: WatchTallyRequest, call: CallContext): AsyncGenerator<EncodedMessage> {
    const viewOf = (frame: Frame) => ({
      frameNumber: frame.number,
      message: frame.encodedTally(electionId, regionId),
    });
    const first = await this.#frameWith(electionId, call).then(viewOf);
    yield* this.#parts.watchers.watch(first, viewOf, call.signal);
  }

  async *getTallyTable({ electionId }: GetTallyTableRequest, call: CallContext): AsyncGenerator<GetTallyTableResponse> {
    const { tableHolders, limits } = this.#parts;
    const holder = await this.#hold(tableHolders, electionId, call);
    try {
      const leafCount = holder.frame.election(electionId).shape.leaves.length;
      for (let first = 0; first < leafCount; first += limits.tableRegionsMax) {
        yield tableRows(holder.frame, electionId, first, limits.tableRegionsMax);
      }
    } finally {
      tableHolders.leave(holder);
    }
  }

  async *recount({ electionId }: RecountRequest, call: CallContext): AsyncGenerator<RecountResponse> {
    const { recountHolders, countRows, shardIds } = this.#parts;
    const holder = await this.#hold(recountHolders, electionId, call);
    try {
      yield* recount(holder, electionId, shardIds(), countRows, call.signal);
    } finally {
      recountHolders.leave(holder);
    }
  }

  // Generators that wait for slow readers keep what their variables held, so the frame is in none of theirs.
  async #hold(holders: FrameHolders, electionId: string, call: CallContext): Promise<FrameHolder> {
    return holders.enter(await this.#frameWith(electionId, call));
  }

  /**
   * The newest frame that knows the election. Throws UNKNOWN_ELECTION when no shard that was read to its end has spoken
   * of it, and TALLY_UNAVAILABLE when there is no such shard to tell.
   */
  async #frameWith(electionId: string, call: CallContext): Promise<Frame> {
    const { frames, limits } = this.#parts;
    const { current } = frames;
    if (current.has(electionId)) return current;
    const deadlineMs = call.deadlineMs ?? deadlineMsMax;
    // A wait ends with a tick, so it may last one longer than it was given.
    const patienceMs = Math.min(limits.unknownElectionWaitMs, deadlineMs - answerMarginMs(deadlineMs) - tickMs);
    if (frames.waitingCount >= limits.waitingCallsMax || patienceMs <= 0) return demandElection(current, electionId);
    const knows = (frame: Frame) => frame.has(electionId);
    return demandElection(await frames.frameOnceWhere(knows, patienceMs, call.signal), electionId);
  }
}

function demandElection(frame: Frame, electionId: string): Frame {
  const { missing, book } = frame.content;
  const lacking = new Set(missing.map(({ shardId }) => shardId));
  const oneTells = [...book.vector.keys()].some((shardId) => !lacking.has(shardId));
  if (!frame.has(electionId) && !oneTells) {
    throw new RejectionError("TALLY_UNAVAILABLE", `the tally has not read the shards: "${electionId}" may exist`);
  }
  // Throws UNKNOWN_ELECTION: an election that was created is on every shard.
  frame.election(electionId);
  return frame;
}
