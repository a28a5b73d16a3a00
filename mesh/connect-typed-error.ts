/**
 * Gives a rejection to every failure that connect-node finds by itself (malformed JSON, unknown fields, truncated protobuf,
 * a message over the limit, a wrong content type). It writes those before any interceptor can see them, so responses are
 * looked at on their way out: a failed unary Connect response, the end frame of a Connect stream, the trailers of gRPC-Web.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  contentTypeUnaryJson,
  createEndStreamSerialization,
  endStreamFlag,
  endStreamFromJson,
  errorFromJsonBytes,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { setTrailerStatus, trailerFlag, trailerParse, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { connectErrorOf } from "#mesh/rejection-status.ts";
import { rejectionOfTransport } from "#mesh/transport-failure.ts";
import { RejectionError } from "#proto/rejections.ts";

const framedContentType = /^application\/(connect\+|grpc-web)/;
const envelopeHeadBytes = 5;
const endStream = createEndStreamSerialization(undefined);

export async function withTypedError(response: UniversalServerResponse): Promise<UniversalServerResponse> {
  const { status, body, header } = response;
  if (body === undefined) return status === 200 ? response : bareRefusal(response);
  const contentType = header?.get("content-type") ?? "";
  if (framedContentType.test(contentType)) return { ...response, body: typedFrames(body) };
  return status === 200 || contentType !== contentTypeUnaryJson ? response : typedUnary(response, body);
}

/** The whole response of a call that is refused before its protocol is known. */
export function refusalResponse(status: number, rejection: RejectionError): UniversalServerResponse {
  const bytes = errorToJsonBytes(connectErrorOf(rejection), undefined);
  const header = new Headers({ "content-type": contentTypeUnaryJson, "content-length": String(bytes.byteLength) });
  return { status, header, body: once(bytes) };
}

function bareRefusal({ status, header }: UniversalServerResponse): UniversalServerResponse {
  const refusal = refusalResponse(
    status,
    new RejectionError("INVALID_REQUEST", bareMessages[status] ?? "wrong request"),
  );
  header?.forEach((value, name) => {
    refusal.header?.set(name, value);
  });
  return refusal;
}

const bareMessages: Readonly<Record<number, string>> = {
  405: "call this method with POST",
  415: "the content type is not one that this method takes: application/json, application/proto, application/grpc-web",
  505: "a stream in both directions needs HTTP/2: use the gRPC address",
};

async function typedUnary(response: UniversalServerResponse, body: AsyncIterable<Uint8Array>) {
  // A unary error is made in one piece, and compressed only when it is long, as none of the library's own is.
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const error = errorFromJsonBytes(bytes, undefined, new ConnectError("", Code.Unavailable));
  const typed = response.header?.has("content-encoding") === true ? undefined : typedError(error);
  if (typed === undefined) return { ...response, body: once(bytes) };
  const typedBytes = errorToJsonBytes(typed, undefined);
  const header = new Headers(response.header);
  header.set("content-length", String(typedBytes.byteLength));
  return { status: codeToHttpStatus(typed.code), header, body: once(typedBytes) };
}

async function* typedFrames(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
  // The library writes each frame in one piece.
  for await (const bytes of body) yield typedFrame(bytes);
}

function typedFrame(bytes: Uint8Array): Uint8Array {
  const flags = bytes[0];
  if (flags === endStreamFlag) {
    const end = endStreamFromJson(bytes.subarray(envelopeHeadBytes));
    const error = end.error === undefined ? undefined : typedError(end.error);
    return error === undefined ? bytes : frame(endStreamFlag, endStream.serialize({ ...end, error }));
  }
  if (flags === trailerFlag) {
    const trailers = trailerParse(bytes.subarray(envelopeHeadBytes));
    const failure = findTrailerError(trailers);
    const error = failure === undefined ? undefined : typedError(failure);
    return error === undefined ? bytes : frame(trailerFlag, trailerSerialize(setTrailerStatus(trailers, error)));
  }
  return bytes;
}

/** Undefined when the error has details already, or speaks for itself. */
function typedError(error: ConnectError): ConnectError | undefined {
  if (error.details.length > 0) return undefined;
  const rejection = rejectionOfTransport(error.code, error.rawMessage);
  return rejection === undefined ? undefined : connectErrorOf(rejection);
}

function frame(flags: number, data: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(envelopeHeadBytes + data.length);
  bytes.writeUInt8(flags, 0);
  bytes.writeUInt32BE(data.length, 1);
  bytes.set(data, envelopeHeadBytes);
  return bytes;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, undefined> {
  yield bytes;
}
