/** Connect by plain HTTP, as `curl` and a web page would send it. */
import type { RawAnswer } from "#bench/raw-answer.ts";
import { errorInfoOf } from "#bench/raw-answer.ts";
import { framesOf } from "#bench/raw-grpc.ts";

const endOfStreamFlag = 2;

/** Of an error's JSON, what is read here. */
type ErrorJson = {
  readonly code?: string;
  readonly details?: readonly { readonly type: string; readonly value: string }[];
};

/**
 * `method` is "VoteService/CastVote" of the service at `url`. The body is JSON unless the headers say otherwise. Answers of
 * streams are read to their end.
 */
export async function postConnect(
  url: string,
  method: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<RawAnswer> {
  const response = await fetch(`${url}/urna.v1.${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
    ...(signal === undefined ? {} : { signal }),
  });
  const bytes = await response.bytes();
  const isStream = response.headers.get("content-type")?.startsWith("application/connect+") === true;
  const error = isStream ? endOfStream(bytes).error : jsonOf(bytes);
  if (response.ok && (!isStream || error === undefined)) {
    return { http: response.status, code: "OK", reason: undefined, domain: undefined, messages: [bytes] };
  }
  const details = error?.details?.map(({ type, value }) => ({ type, value: Buffer.from(value, "base64") })) ?? [];
  return { http: response.status, code: error?.code?.toUpperCase(), ...errorInfoOf(details), messages: [] };
}

/** What a browser asks before it lets a page of that origin post JSON, and the origin that it may let. */
export async function preflight(url: string, origin: string) {
  const response = await fetch(`${url}/urna.v1.VoteService/CastVote`, {
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
  });
  return { status: response.status, allowed: response.headers.get("access-control-allow-origin") };
}

/** The last frame of a stream says how it ended. */
function endOfStream(bytes: Uint8Array): { readonly error?: ErrorJson } {
  const [last] = framesOf(Buffer.from(bytes)).slice(-1);
  if (last?.flags !== endOfStreamFlag) throw new Error("a stream of Connect ended without its end");
  return JSON.parse(last.message.toString("utf8")) as { error?: ErrorJson };
}

function jsonOf(bytes: Uint8Array): ErrorJson | undefined {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8")) as ErrorJson;
  } catch {
    return undefined;
  }
}
