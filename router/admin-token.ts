/** Who may change elections: whoever sends the deployment's admin token. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { CallContext } from "#mesh/service-call.ts";
import { RejectionError } from "#proto/rejections.ts";

/** The identity of who asked, as the shards' logs keep it: there is one admin token. */
export const adminIdentity = "admin";

/** Hashes are compared, in constant time, so that neither the token nor its length leaks. */
export class AdminToken {
  readonly #hash: Buffer;

  constructor(token: string) {
    if (token === "") throw new Error("the admin token is empty");
    this.#hash = sha256(token);
  }

  /** Throws PERMISSION_DENIED unless the call carries "authorization: Bearer <token>". */
  demand(call: Pick<CallContext, "header">): void {
    const [scheme, token] = (call.header("authorization") ?? "").split(" ", 2);
    const isAdmin = timingSafeEqual(sha256(token ?? ""), this.#hash) && scheme?.toLowerCase() === "bearer";
    if (!isAdmin) throw new RejectionError("PERMISSION_DENIED");
  }
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
