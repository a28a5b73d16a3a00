/**
 * The closed catalogue of rejections: id → gRPC code, retryable, what happened, what the caller should do.
 * `docs/rejections.md` is made from it; `mesh/rejection-status.ts` maps it to and from gRPC status.
 *
 * Every rejection but ALREADY_VOTED and OUTCOME_UNKNOWN says exactly this: this call stored nothing.
 */
export const rejectionDomain = "urna.v1";

/** Canonical gRPC status codes that the catalogue uses, by their number on the wire. */
export const grpcCode = {
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

export type GrpcCodeName = keyof typeof grpcCode;

export type CatalogueEntry = {
  readonly code: GrpcCodeName;
  /** Whether the same request can succeed later. */
  readonly retryable: boolean;
  /** Milliseconds that a caller should wait first; present where a wait helps. */
  readonly retryAfterMs?: number;
  /** The default message. */
  readonly message: string;
  /** What the caller should do. */
  readonly advice: string;
};

export const catalogue = {
  INVALID_BALLOT: {
    code: "INVALID_ARGUMENT",
    retryable: false,
    message: "the vote does not fit the election's definition",
    advice: "Correct the vote as the message says.",
  },
  INVALID_REQUEST: {
    code: "INVALID_ARGUMENT",
    retryable: false,
    message: "the request cannot be read",
    advice: "Correct the request as the message says.",
  },
  INVALID_ELECTION: {
    code: "INVALID_ARGUMENT",
    retryable: false,
    message: "the definition of the election is not valid",
    advice: "Correct the definition as the message says.",
  },
  UNKNOWN_ELECTION: {
    code: "NOT_FOUND",
    retryable: false,
    message: "no election has this id",
    advice: "Check the id; create the election first.",
  },
  ELECTION_NOT_OPEN: {
    code: "FAILED_PRECONDITION",
    retryable: false,
    message: "the election is not open yet",
    advice: "Vote again once it is open.",
  },
  ELECTION_CLOSED: {
    code: "FAILED_PRECONDITION",
    retryable: false,
    message: "the election is closed",
    advice: "Nothing: it is too late to vote.",
  },
  ELECTION_EXISTS: {
    code: "ALREADY_EXISTS",
    retryable: false,
    message: "an election with this id and another definition exists",
    advice: "Choose another id; a definition never changes after creation.",
  },
  ALREADY_VOTED: {
    code: "ALREADY_EXISTS",
    retryable: false,
    message: "this voter has voted; the first vote stands",
    advice: "Nothing: the first vote counts. To get its receipt send the same vote with the same idempotency key.",
  },
  UNAUTHENTICATED_VOTER: {
    code: "UNAUTHENTICATED",
    retryable: false,
    message: "the voter is not authenticated",
    advice: "Authenticate the voter as the election demands.",
  },
  PERMISSION_DENIED: {
    code: "PERMISSION_DENIED",
    retryable: false,
    message: "this call needs the admin token",
    advice:
      "As the message says: send 'authorization: Bearer <token>' with the token of endpoints.json's admin_token_file, call " +
      "with a certificate that may (docs/identity.md), or have the intention deleted that denies the path.",
  },
  RATE_LIMITED: {
    code: "RESOURCE_EXHAUSTED",
    retryable: true,
    retryAfterMs: 1_000,
    message: "too many calls from this caller",
    advice: "Wait as long as retry_after says, then send again.",
  },
  OVERLOADED: {
    code: "RESOURCE_EXHAUSTED",
    retryable: true,
    retryAfterMs: 250,
    message: "too many votes are waiting",
    advice: "Wait as long as retry_after says, then send again.",
  },
  SHARD_UNAVAILABLE: {
    code: "UNAVAILABLE",
    retryable: true,
    retryAfterMs: 500,
    message: "the shard has no writer that is ready",
    advice: "Wait as long as retry_after says, then send again.",
  },
  TALLY_UNAVAILABLE: {
    code: "UNAVAILABLE",
    retryable: true,
    retryAfterMs: 500,
    message: "the tally cannot be reached",
    advice: "Wait as long as retry_after says, then ask again. Votes are not affected.",
  },
  WRONG_SHARD: {
    code: "UNAVAILABLE",
    retryable: true,
    retryAfterMs: 100,
    message: "the shard does not own this slot",
    advice: "Internal to the mesh: the router refreshes its shard map and sends again.",
  },
  DEADLINE_PASSED: {
    code: "DEADLINE_EXCEEDED",
    retryable: true,
    message: "the deadline had passed before the vote could be stored",
    advice: "Send again with more time.",
  },
  OUTCOME_UNKNOWN: {
    code: "DEADLINE_EXCEEDED",
    retryable: true,
    retryAfterMs: 500,
    message: "the vote may or may not be stored",
    advice: "Send exactly the same vote again, with the same idempotency key: it is counted at most once.",
  },
  RESULTS_SEALED: {
    code: "FAILED_PRECONDITION",
    retryable: false,
    message: "results are sealed until the election is closed",
    advice: "Ask again after the close.",
  },
  NOT_FOUND: {
    code: "NOT_FOUND",
    retryable: false,
    message: "there is no such thing",
    advice: "Check what was asked for, as the message says.",
  },
  INTERNAL: {
    code: "INTERNAL",
    retryable: false,
    message: "an internal error; this call stored nothing",
    advice: "Report it with the time: the cause is in the server's log.",
  },
} as const satisfies Record<string, CatalogueEntry>;

export type RejectionReason = keyof typeof catalogue;

export function catalogueEntry(reason: RejectionReason): CatalogueEntry {
  return catalogue[reason];
}

export function isRejectionReason(reason: string): reason is RejectionReason {
  return Object.hasOwn(catalogue, reason);
}

/** A refusal on its way to a caller: thrown in unary calls, turned into a `Rejection` message in batches and streams. */
export class RejectionError extends Error {
  readonly reason: RejectionReason;
  readonly retryAfterMs: number | undefined;

  constructor(reason: RejectionReason, message?: string, retryAfterMs?: number) {
    const entry = catalogueEntry(reason);
    super(message ?? entry.message);
    this.name = "RejectionError";
    this.reason = reason;
    this.retryAfterMs = retryAfterMs ?? entry.retryAfterMs;
  }

  get retryable(): boolean {
    return catalogueEntry(this.reason).retryable;
  }

  get code(): GrpcCodeName {
    return catalogueEntry(this.reason).code;
  }
}
