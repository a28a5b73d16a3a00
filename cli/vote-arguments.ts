/** A vote as the command line says it. */
import { randomBytes } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SelectionSchema, VoteSchema } from "#proto/generated/urna/v1/vote_pb.js";
import { idempotencyKeyBytesMax, idempotencyKeyBytesMin } from "#proto/limits.ts";
import { UsageError } from "./exit-code.ts";

export type VoterArguments = { readonly voter?: string; readonly ballot?: string };

export type VoteArguments = VoterArguments & {
  readonly election: string;
  readonly region: string;
  readonly select?: readonly string[];
};

export function voteOf(options: VoteArguments, idempotencyKey: Uint8Array): MessageInitShape<typeof VoteSchema> {
  return {
    electionId: options.election,
    voter: voterOf(options),
    regionId: options.region,
    selections: (options.select ?? []).map(selectionOf),
    idempotencyKey,
  };
}

export function voterOf({ voter, ballot }: VoterArguments) {
  if (voter !== undefined && ballot === undefined) return { case: "voterId", value: voter } as const;
  if (ballot !== undefined && voter === undefined) return { case: "ballotId", value: ballot } as const;
  throw new UsageError("give --voter ID, or --ballot ID in an election that is keyed by ballots");
}

/** "contest=option,option"; nothing after the sign is an undervote. What fits the election is for the server to say. */
function selectionOf(text: string): MessageInitShape<typeof SelectionSchema> {
  const sign = text.indexOf("=");
  if (sign <= 0) throw new UsageError(`--select ${text} is not CONTEST=OPTION[,OPTION]`);
  const options = text.slice(sign + 1);
  return { contestId: text.slice(0, sign), optionIds: options === "" ? [] : options.split(",") };
}

/** A fresh key when none is given. */
export function idempotencyKeyOf(hex: string | undefined): Uint8Array {
  if (hex === undefined) return randomBytes(idempotencyKeyBytesMin);
  const key = Buffer.from(hex, "hex");
  const isHex = key.length * 2 === hex.length;
  if (isHex && key.length >= idempotencyKeyBytesMin && key.length <= idempotencyKeyBytesMax) return key;
  throw new UsageError(
    `--key ${hex} is not ${idempotencyKeyBytesMin} to ${idempotencyKeyBytesMax} bytes in hexadecimal`,
  );
}

/** How a key is shown, and given again. */
export function keyText(key: Uint8Array): string {
  return Buffer.from(key).toString("hex");
}

/** For options that may be given more than once. */
export function collectTexts(value: string, collected: readonly string[] = []): string[] {
  return [...collected, value];
}
