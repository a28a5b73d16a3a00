/** What a server answered to one call, read without our own client code: a test must not trust what it tests. */
import { fromBinary } from "@bufbuild/protobuf";
import { ErrorInfoSchema } from "#proto/generated/google/rpc/error_details_pb.js";
import type { Outcome } from "#proto/generated/urna/v1/vote_pb.js";
import type { RejectionReason } from "#proto/rejections.ts";
import { catalogueEntry, rejectionDomain } from "#proto/rejections.ts";

export type RawAnswer = {
  /** Status of HTTP; 0 when none came. */
  readonly http: number;
  /** The canonical code's name ("OK", "INVALID_ARGUMENT"); undefined when the answer bears none. */
  readonly code: string | undefined;
  /** Of google.rpc.ErrorInfo. */
  readonly reason: string | undefined;
  readonly domain: string | undefined;
  /** The response messages: protobuf from gRPC, JSON text from Connect. */
  readonly messages: readonly Uint8Array[];
};

/** What an answer must match to be this rejection: its code, its catalogue id, its domain. */
export function refusal(reason: RejectionReason): Pick<RawAnswer, "code" | "reason" | "domain"> {
  return { code: catalogueEntry(reason).code, reason, domain: rejectionDomain };
}

/** Stored by this call, not by an earlier one. */
export function recorded({ result, repeat }: Outcome): boolean {
  return result.case === "receipt" && !repeat;
}

/** The catalogue id of a rejection, or "receipt". */
export function reasonOf(outcome: Outcome | undefined): string | undefined {
  return outcome?.result.case === "rejection" ? outcome.result.value.reason : outcome?.result.case;
}

const errorInfoType = "google.rpc.ErrorInfo";

/** Finds the ErrorInfo among the details of a status; `type` is a full name, or a URL that ends in one. */
export function errorInfoOf(details: readonly { readonly type: string; readonly value: Uint8Array }[]) {
  const found = details.find(({ type }) => type.split("/").at(-1) === errorInfoType);
  if (found === undefined) return { reason: undefined, domain: undefined };
  const { reason, domain } = fromBinary(ErrorInfoSchema, found.value);
  return { reason, domain };
}
