/** The WatchCounts stream: everything after a batch, then live, up to the durable mark, summed where batches come fast. */
import { setTimeout as delay } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ElectionCountsSchema } from "#proto/generated/urna/v1/shard_service_pb.js";
import { type WatchCountsResponse, WatchCountsResponseSchema } from "#proto/generated/urna/v1/shard_service_pb.js";
import type { CountDeltas } from "./batch.ts";
import type { FeedBatch, FeedChange } from "./count-feed.ts";
import { readCounts } from "./count-reader.ts";
import type { PublishedCheckpoint } from "./published-checkpoint.ts";
import type { ReaderPool } from "./reader-pool.ts";
import type { Writer } from "./writer.ts";

/** Batches come by the hundred a second; a reader that publishes ten frames a second needs no more messages than this. */
const messageEveryMs = 50;

export async function* watchCounts(
  writer: Writer,
  published: Pick<PublishedCheckpoint, "note">,
  readers: ReaderPool,
  afterBatch: number,
  signal: AbortSignal,
): AsyncGenerator<WatchCountsResponse> {
  const { feed } = writer;
  let sent: Buffer = nothing;
  /** The checkpoint goes with the first message after it is signed; there is one each pulse. */
  const withCheckpoint = (response: WatchCountsResponse): WatchCountsResponse => {
    if (published.note === sent) return response;
    sent = published.note;
    return { ...response, checkpoint: sent };
  };
  if (afterBatch > feed.durableBatch) {
    // The reader has folded what this shard does not have. Saying how far the shard reaches lets it raise the alarm (I7).
    yield withCheckpoint(responseOf(writer, afterBatch, feed.durableBatch, feed.stampMs, none, []));
    return;
  }
  let after = afterBatch;
  while (!signal.aborted) {
    const through = feed.durableBatch;
    const recent = feed.after(after);
    if (recent === undefined) {
      const { deltas, changes } = await readers.use((client) => readCounts(client, after, through), signal);
      yield withCheckpoint(responseOf(writer, after, through, feed.stampMs, deltas, changes));
      after = through;
    } else if (recent.length > 0) {
      const last = recent[recent.length - 1]?.number ?? after;
      yield withCheckpoint(sumOf(writer, after, recent));
      after = last;
    }
    await feed.reaches(after + 1, signal);
    await delay(messageEveryMs, undefined, { signal }).catch(() => undefined);
  }
}

const nothing = Buffer.alloc(0);
const none: CountDeltas = { elections: [], regions: [], cells: [], n: [] };

function sumOf(writer: Writer, afterBatch: number, batches: readonly FeedBatch[]): WatchCountsResponse {
  const last = batches[batches.length - 1];
  const deltas: CountDeltas = { elections: [], regions: [], cells: [], n: [] };
  const states = new Map<string, FeedChange>();
  for (const batch of batches) {
    // Not spread: a batch may hold more cells than a call may have arguments.
    for (let i = 0; i < batch.deltas.n.length; i++) {
      deltas.elections.push(batch.deltas.elections[i] ?? 0);
      deltas.regions.push(batch.deltas.regions[i] ?? 0);
      deltas.cells.push(batch.deltas.cells[i] ?? 0);
      deltas.n.push(batch.deltas.n[i] ?? 0);
    }
    for (const change of batch.changes) states.set(change.electionId, change);
  }
  return responseOf(writer, afterBatch, last?.number ?? afterBatch, last?.stampMs ?? 0, deltas, [...states.values()]);
}

function responseOf(
  writer: Writer,
  afterBatch: number,
  throughBatch: number,
  stampMs: number,
  deltas: CountDeltas,
  changes: readonly FeedChange[],
): WatchCountsResponse {
  return create(WatchCountsResponseSchema, {
    fromBatch: BigInt(afterBatch + 1),
    throughBatch: BigInt(throughBatch),
    stamp: timestampFromMs(stampMs),
    counts: countsOf(writer, deltas),
    changes: changes.map((change) => ({ ...change, batch: BigInt(throughBatch) })),
  });
}

type CountsInit = MessageInitShape<typeof ElectionCountsSchema>;

/** Election by election; the same cell of several batches is added up. */
function countsOf(writer: Writer, deltas: CountDeltas): CountsInit[] {
  const sums = new Map<number, Map<number, number>>();
  for (let i = 0; i < deltas.n.length; i++) {
    const number = deltas.elections[i] ?? 0;
    let cells = sums.get(number);
    if (cells === undefined) {
      cells = new Map();
      sums.set(number, cells);
    }
    const place = (deltas.regions[i] ?? 0) * cellStride + (deltas.cells[i] ?? 0);
    cells.set(place, (cells.get(place) ?? 0) + (deltas.n[i] ?? 0));
  }
  return [...sums].map(([number, cells]) => {
    const election = writer.book.byNumber(number);
    if (election === undefined) throw new Error(`counts of election ${number}, which is not in the book`);
    return {
      electionId: election.id,
      regions: [...cells.keys()].map((place) => Math.floor(place / cellStride)),
      cells: [...cells.keys()].map((place) => place % cellStride),
      counts: [...cells.values()].map(BigInt),
    };
  });
}

/** More than the cells that an election can have: a ballot names a cell in 16 bits. */
const cellStride = 2 ** 16;
