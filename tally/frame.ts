/**
 * A frame: everything the tally knows at one cut, under one number. Nothing in it changes. What callers ask of it is
 * computed when first asked, and encoded once however many ask.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { EncodedMessage } from "#mesh/service-call.ts";
import type { GetTallyResponse, ShardPosition, TallyCut } from "#proto/generated/urna/v1/tally_service_pb.js";
import {
  GetTallyResponseSchema,
  ShardPositionSchema,
  TallyCutSchema,
} from "#proto/generated/urna/v1/tally_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import type { AuditView } from "./audit-board.ts";
import type { BookSnapshot } from "./count-book.ts";
import type { ElectionSnapshot } from "./election-counts.ts";
import { regionTally } from "./region-tally.ts";

export type MissingSince = { readonly shardId: number; readonly sinceMs: number };

export type FrameContent = {
  /** Of the tally process: a later one has a greater incarnation. */
  readonly incarnation: bigint;
  /** Grows by one within an incarnation. */
  readonly number: bigint;
  /** Unix time in milliseconds at which the frame was made. */
  readonly asOfMs: number;
  readonly book: BookSnapshot;
  /** In the order of the shards. */
  readonly missing: readonly MissingSince[];
  readonly audit: AuditView;
};

export class Frame {
  readonly content: FrameContent;
  readonly #tallies = new Map<string, GetTallyResponse>();
  readonly #encoded = new Map<string, EncodedMessage>();

  constructor(content: FrameContent) {
    this.content = content;
  }

  get number(): bigint {
    return this.content.number;
  }

  has(electionId: string): boolean {
    return this.content.book.elections.has(electionId);
  }

  /** Throws UNKNOWN_ELECTION. */
  election(electionId: string): ElectionSnapshot {
    const election = this.content.book.elections.get(electionId);
    if (election === undefined) throw new RejectionError("UNKNOWN_ELECTION", `there is no election "${electionId}"`);
    return election;
  }

  /** The batches that all counts in this frame reach (I7). */
  get vector(): ShardPosition[] {
    return [...this.content.book.vector].map(([shardId, batch]) => create(ShardPositionSchema, { shardId, batch }));
  }

  /** Throws UNKNOWN_ELECTION. */
  cut(electionId: string): TallyCut {
    const { incarnation, number, asOfMs, missing, audit } = this.content;
    const { final, sealed, state } = this.election(electionId);
    return create(TallyCutSchema, {
      frame: { incarnation, number },
      asOf: timestampFromMs(asOfMs),
      vector: this.vector,
      missing: missing.map(({ shardId, sinceMs }) => ({ shardId, since: timestampFromMs(sinceMs) })),
      final,
      sealed,
      state,
      verifiedThrough: this.#verified,
      auditFindings: [...audit.findings],
      ...(audit.silentSinceMs === undefined ? {} : { auditSilentSince: timestampFromMs(audit.silentSinceMs) }),
    });
  }

  /** An auditor may be ahead of the tally. What is shown as verified is of what is shown as counted (I7). */
  get #verified(): ShardPosition[] {
    const { audit, book } = this.content;
    return [...audit.verified].flatMap(([shardId, reached]) => {
      const read = book.vector.get(shardId);
      if (read === undefined) return [];
      const isAhead = reached > read;
      return [create(ShardPositionSchema, { shardId, batch: isAhead ? read : reached })];
    });
  }

  /** A region ("" is the root) and its direct children. Throws UNKNOWN_ELECTION, and NOT_FOUND naming the region. */
  tally(electionId: string, regionId: string): GetTallyResponse {
    const key = viewKey(electionId, regionId);
    let tally = this.#tallies.get(key);
    if (tally === undefined) {
      tally = this.#makeTally(electionId, regionId);
      this.#tallies.set(key, tally);
    }
    return tally;
  }

  /** The same, as the bytes of a GetTallyResponse and, for they have the same fields, of a WatchTallyResponse. */
  encodedTally(electionId: string, regionId: string): EncodedMessage {
    const key = viewKey(electionId, regionId);
    let encoded = this.#encoded.get(key);
    if (encoded === undefined) {
      encoded = new EncodedMessage(toBinary(GetTallyResponseSchema, this.#makeTally(electionId, regionId)));
      this.#encoded.set(key, encoded);
    }
    return encoded;
  }

  #makeTally(electionId: string, regionId: string): GetTallyResponse {
    const election = this.election(electionId);
    const region = election.regions.get(regionId);
    if (region === undefined) {
      throw new RejectionError("NOT_FOUND", `election "${electionId}" has no region "${regionId}"`);
    }
    return create(GetTallyResponseSchema, {
      electionId,
      cut: this.cut(electionId),
      region: regionTally(election, region),
      children: region.children.map((child) => regionTally(election, child)),
    });
  }
}

/** Ids hold no space. */
function viewKey(electionId: string, regionId: string): string {
  return `${electionId} ${regionId}`;
}
