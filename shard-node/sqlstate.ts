/** The only file that knows SQLSTATEs: what a failed batch means. */
import pg from "pg";

export type PostgresFailure =
  /** Another writer has the head, or another writer's vote is in our way: take over again or stand down (I6). */
  | { readonly kind: "deposed" }
  /** A setting no longer guarantees two copies (I1). */
  | { readonly kind: "unsafe-setting"; readonly message: string }
  /** The data of some vote cannot be stored. */
  | { readonly kind: "data"; readonly message: string }
  /** A lock was not had in time. */
  | { readonly kind: "blocked" }
  /** Anything else: the connection is not to be trusted any more. */
  | { readonly kind: "other"; readonly message: string };

export function classifyFailure(error: unknown): PostgresFailure {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof pg.DatabaseError) || error.code === undefined) return { kind: "other", message };
  const { code } = error;
  if (code === "UR001" || code === "23505") return { kind: "deposed" };
  if (code === "UR002") return { kind: "unsafe-setting", message };
  if (code === "55P03") return { kind: "blocked" };
  // 22 data exception, 23 integrity constraint, P0001 raised by a trigger, 54 program limit exceeded.
  if (/^(22|23|54)/.test(code) || code === "P0001") return { kind: "data", message };
  return { kind: "other", message };
}
