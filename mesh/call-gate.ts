/**
 * Lets a call in, or not: by the table of who may call what, and by the intentions of operators, which may only take away.
 * Long calls are watched, and cut when an intention takes away what they were let in by.
 */
import { mayCall } from "#mesh/call-permissions.ts";
import type { Intentions } from "#mesh/intentions.ts";
import { formatSpiffeId, type IdentityKind, type SpiffeId } from "#mesh/spiffe-id.ts";
import { RejectionError } from "#proto/rejections.ts";

type WatchedCall = { readonly source: IdentityKind; readonly cut: (because: RejectionError) => void };

export class CallGate {
  readonly #self: IdentityKind;
  readonly #intentions: Intentions;
  readonly #watched = new Set<WatchedCall>();
  readonly #stopListening: () => void;

  /** `self` is what this server is. */
  constructor(self: IdentityKind, intentions: Intentions) {
    this.#self = self;
    this.#intentions = intentions;
    this.#stopListening = intentions.onChange(() => this.#cutDenied());
  }

  /** Throws PERMISSION_DENIED. `rpc` is "urna.v1.VoteService/CastVote"; a peer is unknown once its connection has ended. */
  demandAllowed(peer: SpiffeId | undefined, rpc: string): void {
    if (peer === undefined) throw new RejectionError("PERMISSION_DENIED", "the caller is gone");
    const allowed = mayCall(rpc);
    if (!allowed.includes(peer.kind)) {
      const those = allowed.length === 0 ? "nobody" : `only ${allowed.join(", ")}`;
      throw new RejectionError("PERMISSION_DENIED", `${formatSpiffeId(peer)} may not call ${rpc}: ${those} may`);
    }
    const denial = this.#denialOf(peer.kind);
    if (denial !== undefined) throw denial;
  }

  /** Calls `cut` once the caller is denied; returns how to stop watching. */
  watch(peer: SpiffeId | undefined, cut: WatchedCall["cut"]): () => void {
    if (peer === undefined) return () => {};
    const watched = { source: peer.kind, cut };
    this.#watched.add(watched);
    return () => this.#watched.delete(watched);
  }

  close(): void {
    this.#stopListening();
    this.#watched.clear();
  }

  #cutDenied(): void {
    for (const call of this.#watched) {
      const denial = this.#denialOf(call.source);
      if (denial === undefined) continue;
      this.#watched.delete(call);
      call.cut(denial);
    }
  }

  #denialOf(source: IdentityKind): RejectionError | undefined {
    const [from, to] = [registryName(source), registryName(this.#self)];
    if (this.#intentions.allows(from, to)) return undefined;
    return new RejectionError(
      "PERMISSION_DENIED",
      `an intention denies ${from} → ${to}: the path opens when it is deleted`,
    );
  }
}

/** As intentions name services. */
function registryName(kind: IdentityKind): string {
  return `urna-${kind}`;
}
