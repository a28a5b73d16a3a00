/** Connect by plain HTTP, as `curl` and a web page would send it. */
import type { RawAnswer } from "#bench/raw-answer.ts";
import { errorInfoOf } from "#bench/raw-answer.ts";

/** Of an error's JSON, what is read here. */
type ErrorJson = {
  readonly code?: string;
  readonly details?: readonly { readonly type: string; readonly value: string }[];
};

/** `method` is "VoteService/CastVote" of the service at `url`. The body is JSON unless the headers say otherwise. */
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
  if (response.ok)
    return { http: response.status, code: "OK", reason: undefined, domain: undefined, messages: [bytes] };
  const { code, details = [] } = jsonOf(bytes);
  return {
    http: response.status,
    code: code?.toUpperCase(),
    ...errorInfoOf(details.map(({ type, value }) => ({ type, value: Buffer.from(value, "base64") }))),
    messages: [],
  };
}

function jsonOf(bytes: Uint8Array): ErrorJson {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8")) as ErrorJson;
  } catch {
    return {};
  }
}
