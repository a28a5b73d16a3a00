/** The rejection for a failure that an RPC library found by itself, by the canonical code and words that it gave it. */
import { status as codes } from "@grpc/grpc-js";
import { RejectionError } from "#proto/rejections.ts";

const unreadable = [
  "Error deserializing request",
  "Failed to decompress message",
  "Invalid grpc-timeout value",
  "parse binary:",
  "protocol error",
  "invalid",
];

/** Undefined for codes that speak for themselves. */
export function rejectionOfTransport(code: number, details: string): RejectionError | undefined {
  switch (code) {
    case codes.OK:
    case codes.CANCELLED:
    // Health says so of a service that nobody serves.
    case codes.NOT_FOUND:
    case codes.UNAVAILABLE:
      return undefined;
    case codes.DEADLINE_EXCEEDED:
      // The call was under way: what it did is not known here.
      return new RejectionError("OUTCOME_UNKNOWN", "the deadline passed before the answer");
    case codes.INVALID_ARGUMENT:
    case codes.RESOURCE_EXHAUSTED:
    case codes.UNIMPLEMENTED:
      return new RejectionError("INVALID_REQUEST", details);
    default:
      return unreadable.some((start) => details.startsWith(start))
        ? new RejectionError("INVALID_REQUEST", details)
        : new RejectionError("INTERNAL");
  }
}
