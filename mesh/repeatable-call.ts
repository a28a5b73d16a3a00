/** Which unary calls may be made again although nobody knows what became of the first one. */
import type { DescMethod } from "@bufbuild/protobuf";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { idempotencyKeyBytesMin } from "#proto/limits.ts";

const readName = /^(get|list|find|prove)[A-Z]/;

type KeyedVote = { readonly idempotencyKey?: Uint8Array };
type CastRequest = { readonly vote?: KeyedVote; readonly votes?: readonly KeyedVote[] };

/** What only reads; and votes that all have keys, which are counted once however often they are sent (I2, I3). */
export function isRepeatable(method: DescMethod, request: unknown): boolean {
  if (readName.test(method.localName)) return true;
  if (method !== VoteService.method.castVote && method !== VoteService.method.castVoteBatch) return false;
  const { vote, votes = [] } = request as CastRequest;
  return [...(vote === undefined ? [] : [vote]), ...votes].every(hasKey);
}

function hasKey({ idempotencyKey }: KeyedVote): boolean {
  return (idempotencyKey?.length ?? 0) >= idempotencyKeyBytesMin;
}
