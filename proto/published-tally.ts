/**
 * What the tally and the routers agree on about Redis: under which names answers are published there, how they are packed,
 * and for how long one may be served. A view is a question that many ask: one region with its children, or the table of an
 * election. Its name is both a key, under which the newest answer lies, and a channel, on which each answer is told: whoever
 * listens on it is how the tally knows what is wanted.
 */
import { promisify } from "node:util";
import { constants, deflateRaw, inflateRaw } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { FrameCut } from "#proto/frame-order.ts";
import { PublishedAnswersSchema, PublishedTallySchema } from "#proto/generated/urna/v1/published_tally_pb.js";

export type TallyView =
  | { readonly kind: "region"; readonly electionId: string; readonly regionId: string }
  | { readonly kind: "table"; readonly electionId: string };

/** The answer to the question of a view. */
export type PublishedTally = {
  readonly cut: FrameCut;
  /** Unix time in milliseconds by the clock of Redis. */
  readonly publishedAtMs: number;
  /** Serialised: one GetTallyResponse, or the messages of a table. */
  readonly answers: readonly Uint8Array[];
};

/** The tally publishes what is wanted this often, also when nothing changed: so routers see that it would have told them. */
export const publishEveryMs = 500;

/** And this often where the answer is large. */
export const publishLargeEveryMs = 1_000;

/** A router serves no published answer that is older: it asks the tally. */
export const publishedForMs = 1_500;

/** Bytes of an answer as it lies in Redis; a larger one is not published. */
export const publishedBytesMax = 4 * 1024 * 1024;

const unpackedBytesMax = 32 * 1024 * 1024;
const deflatedFromBytes = 8 * 1024;
const deflated = promisify(deflateRaw);
const inflated = promisify(inflateRaw);

export class ViewNames {
  readonly #prefix: string;

  /** Deployments that share a Redis do not meet. */
  constructor(deployment: string) {
    this.#prefix = `urna:${deployment}:tally:v1:`;
  }

  /** For PUBSUB CHANNELS. */
  get pattern(): string {
    return `${this.#prefix.replaceAll(/[\\*?[\]]/g, "\\$&")}*`;
  }

  nameOf(view: TallyView): string {
    // An election's id holds no slash.
    return `${this.#prefix}${view.kind}:${view.electionId}${view.kind === "region" ? `/${view.regionId}` : ""}`;
  }

  /** Undefined for what is no view's name. */
  viewOf(name: string): TallyView | undefined {
    if (!name.startsWith(this.#prefix)) return undefined;
    const [, kind, electionId = "", regionId] =
      /^(region|table):([^/]+)(?:\/(.*))?$/s.exec(name.slice(this.#prefix.length)) ?? [];
    if (kind === "region" && regionId !== undefined) return { kind, electionId, regionId };
    return kind === "table" && regionId === undefined ? { kind, electionId } : undefined;
  }
}

/** Undefined when it would be too large. */
export async function packPublished(view: TallyView, published: PublishedTally): Promise<Uint8Array | undefined> {
  const bytes = published.answers.reduce((sum, answer) => sum + answer.length, 0);
  if (bytes > unpackedBytesMax) return undefined;
  const answers = [...published.answers];
  const message = create(PublishedTallySchema, {
    electionId: view.electionId,
    regionId: regionOf(view),
    frame: { incarnation: published.cut.frame?.incarnation ?? 0n, number: published.cut.frame?.number ?? 0n },
    vector: [...published.cut.vector],
    publishedAtMs: BigInt(Math.max(0, Math.round(published.publishedAtMs))),
  });
  if (bytes < deflatedFromBytes) message.answers = answers;
  else message.deflatedAnswers = await deflate(answers);
  const packed = toBinary(PublishedTallySchema, message);
  return packed.length > publishedBytesMax ? undefined : packed;
}

/** Without its answers: enough to see whether they are wanted. Throws on what is not a published answer of this view. */
export function readPublished(view: TallyView, packed: Uint8Array): PackedTally {
  const message = fromBinary(PublishedTallySchema, packed);
  if (message.electionId !== view.electionId || message.regionId !== regionOf(view) || message.frame === undefined) {
    throw new Error("published-tally: this is the answer to another question");
  }
  return {
    cut: { frame: message.frame, vector: message.vector },
    publishedAtMs: Number(message.publishedAtMs),
    isDeflated: message.answers.length === 0,
    async unpack() {
      return message.answers.length > 0 ? message.answers : await inflate(message.deflatedAnswers);
    },
  };
}

export type PackedTally = Omit<PublishedTally, "answers"> & {
  readonly isDeflated: boolean;
  /** Throws on garbage, and on more bytes than are ever published. */
  unpack(): Promise<readonly Uint8Array[]>;
};

function regionOf(view: TallyView): string {
  return view.kind === "region" ? view.regionId : "";
}

async function deflate(answers: Uint8Array[]): Promise<Uint8Array> {
  const bytes = toBinary(PublishedAnswersSchema, { $typeName: "urna.v1.PublishedAnswers", answers });
  // Twice a second: the least effort, and on a thread of its own.
  return await deflated(bytes, { level: constants.Z_BEST_SPEED });
}

async function inflate(bytes: Uint8Array): Promise<readonly Uint8Array[]> {
  const { answers } = fromBinary(PublishedAnswersSchema, await inflated(bytes, { maxOutputLength: unpackedBytesMax }));
  if (answers.length === 0) throw new Error("published-tally: there is no answer in it");
  return answers;
}

if (publishLargeEveryMs >= publishedForMs)
  throw new Error("published-tally: an answer must be told again before it is old");
if (publishEveryMs > publishLargeEveryMs) throw new Error("published-tally: what is large is not told more often");
