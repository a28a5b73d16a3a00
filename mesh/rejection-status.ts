/**
 * The one place where rejections become gRPC statuses, Connect errors and `Rejection` messages, and are read back.
 * On the wire a rejection is google.rpc.Status with ErrorInfo (reason, domain "urna.v1") and, where waiting helps,
 * RetryInfo, in the trailer grpc-status-details-bin.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { anyPack, anyUnpack, DurationSchema, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { Code } from "@connectrpc/connect";
import { ConnectError } from "@connectrpc/connect";
import type { StatusObject } from "@grpc/grpc-js";
import { Metadata } from "@grpc/grpc-js";
import { ErrorInfoSchema, RetryInfoSchema } from "#proto/generated/google/rpc/error_details_pb.js";
import { StatusSchema } from "#proto/generated/google/rpc/status_pb.js";
import type { Rejection } from "#proto/generated/urna/v1/vote_pb.js";
import { RejectionSchema } from "#proto/generated/urna/v1/vote_pb.js";
import { grpcCode, isRejectionReason, RejectionError, rejectionDomain } from "#proto/rejections.ts";

/** The status of a call, as grpc-js sends it. */
export type GrpcStatus = Pick<StatusObject, "code" | "details"> & { readonly metadata?: Metadata | null | undefined };

const detailsKey = "grpc-status-details-bin";
const pushbackKey = "grpc-retry-pushback-ms";

/** The gRPC status of a rejection. */
export function rejectionStatus(error: RejectionError): StatusObject {
  const code = grpcCode[error.code];
  const details = [anyPack(ErrorInfoSchema, errorInfo(error))];
  const retryDelay = retryDelayOf(error);
  if (retryDelay !== undefined) details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
  const status = toBinary(StatusSchema, create(StatusSchema, { code, message: error.message, details }));
  const metadata = new Metadata();
  metadata.set(detailsKey, Buffer.from(status));
  // The same wait for clients that follow gRPC's standard retry rules and know nothing of details.
  if (error.retryAfterMs !== undefined) metadata.set(pushbackKey, String(Math.round(error.retryAfterMs)));
  return { code, details: error.message, metadata };
}

/** Whether a status carries details already: one that this file made, or a service that speaks for itself. */
export function hasDetails(metadata: Metadata | null | undefined): boolean {
  return metadata !== null && metadata !== undefined && metadata.get(detailsKey).length > 0;
}

/** The rejection that a status carries, or undefined when it carries none of ours. */
export function rejectionFromStatus(status: { details: string; metadata: Metadata }): RejectionError | undefined {
  const [bytes] = status.metadata.get(detailsKey);
  if (bytes === undefined || typeof bytes === "string") return undefined;
  let retryAfterMs: number | undefined;
  let reason: string | undefined;
  try {
    for (const detail of fromBinary(StatusSchema, bytes).details) {
      const info = anyUnpack(detail, ErrorInfoSchema);
      if (info !== undefined && info.domain === rejectionDomain) reason = info.reason;
      const retry = anyUnpack(detail, RetryInfoSchema);
      if (retry?.retryDelay !== undefined) retryAfterMs = durationMs(retry.retryDelay);
    }
  } catch {
    // Details that cannot be read are a stranger's: the caller gets the bare code.
    return undefined;
  }
  return namedRejection(reason, status.details, retryAfterMs);
}

export function connectErrorOf(error: RejectionError): ConnectError {
  const retryDelay = retryDelayOf(error);
  return new ConnectError(error.message, grpcCode[error.code] satisfies Code, undefined, [
    { desc: ErrorInfoSchema, value: errorInfo(error) },
    ...(retryDelay === undefined ? [] : [{ desc: RetryInfoSchema, value: { retryDelay } }]),
  ]);
}

export function rejectionFromConnect(error: ConnectError): RejectionError | undefined {
  const info = error.findDetails(ErrorInfoSchema).find(({ domain }) => domain === rejectionDomain);
  const retryDelay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return namedRejection(info?.reason, error.rawMessage, retryDelay === undefined ? undefined : durationMs(retryDelay));
}

/** The message that batches and streams carry. */
export function rejectionMessage(error: RejectionError): Rejection {
  const retryAfter = retryDelayOf(error);
  return create(RejectionSchema, {
    reason: error.reason,
    message: error.message,
    retryable: error.retryable,
    ...(retryAfter === undefined ? {} : { retryAfter }),
  });
}

export function rejectionFromMessage(rejection: Rejection): RejectionError {
  const { reason, message, retryAfter } = rejection;
  const known = namedRejection(reason, message, retryAfter === undefined ? undefined : durationMs(retryAfter));
  return known ?? new RejectionError("INTERNAL", `a rejection of unknown reason "${reason}": ${message}`);
}

function errorInfo(error: RejectionError) {
  return create(ErrorInfoSchema, { reason: error.reason, domain: rejectionDomain });
}

function retryDelayOf(error: RejectionError): Duration | undefined {
  return error.retryAfterMs === undefined ? undefined : create(DurationSchema, durationFromMs(error.retryAfterMs));
}

function namedRejection(reason: string | undefined, message: string, retryAfterMs: number | undefined) {
  if (reason === undefined || !isRejectionReason(reason)) return undefined;
  return new RejectionError(reason, message, retryAfterMs);
}
