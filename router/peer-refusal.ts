/** Why a part of the mesh and this router do not talk, where somebody has decided so: an intention, a certificate. */
import { CallError, tlsProblemOf } from "#mesh/call-error.ts";
import { RejectionError } from "#proto/rejections.ts";

/** Undefined for what is nobody's decision: a process that is away, or slow, or refuses what was asked. */
export function peerRefusal(cause: unknown): string | undefined {
  if (cause instanceof RejectionError) return cause.reason === "PERMISSION_DENIED" ? cause.message : undefined;
  return cause instanceof CallError ? tlsProblemOf(cause) : undefined;
}
