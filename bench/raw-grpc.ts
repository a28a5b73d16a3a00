/** gRPC over bare HTTP/2: nothing on the caller's side is helped, or held back, by a client library. */
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import { connect } from "node:http2";
import { fromBinary } from "@bufbuild/protobuf";
import { status as codes } from "@grpc/grpc-js";
import type { RawAnswer } from "#bench/raw-answer.ts";
import { errorInfoOf } from "#bench/raw-answer.ts";
import { StatusSchema } from "#proto/generated/google/rpc/status_pb.js";

type Headers = Readonly<Record<string, string>>;

const headBytes = 5;
/** A session of node:http2 that has more than this waiting to be sent resets its own streams; the default is 10 MB. */
const sessionMemoryMb = 256;

/** A message as gRPC puts it on the wire. Its head may lie about what follows. */
export function framed(message: Uint8Array, { compressed = false, declaredBytes = message.length } = {}) {
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(compressed ? 1 : 0, 0);
  head.writeUInt32BE(declaredBytes, 1);
  return Buffer.concat([head, message]);
}

/** One connection, made again when the server has ended it. */
export class RawGrpc {
  readonly #address: string;
  #session: ClientHttp2Session | undefined;

  constructor(address: string) {
    this.#address = address;
  }

  /** `method` is "VoteService/CastVote"; `body` goes out as it is. Resolves when the stream has closed, however it did. */
  async call(method: string, body: Uint8Array, headers: Headers = {}): Promise<RawAnswer> {
    const stream = this.open(method, headers);
    const seen: IncomingHttpHeaders = {};
    const data: Buffer[] = [];
    stream.on("response", (got) => Object.assign(seen, got));
    stream.on("trailers", (got) => Object.assign(seen, got));
    stream.on("data", (chunk: Buffer) => data.push(chunk));
    stream.end(body);
    await new Promise((resolve) => stream.once("close", resolve));
    return answerOf(seen, Buffer.concat(data));
  }

  /** A stream with its headers sent; whoever opens it ends or closes it. Its errors are heard here. */
  open(method: string, headers: Headers = {}): ClientHttp2Stream {
    const stream = this.#connected().request({
      ":method": "POST",
      ":path": `/urna.v1.${method}`,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    stream.on("error", () => {});
    return stream;
  }

  /** Cuts the connection and all that is under way on it. */
  cut(): void {
    this.#session?.destroy();
  }

  #connected(): ClientHttp2Session {
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) {
      this.#session = connect(`http://${this.#address}`, { maxSessionMemory: sessionMemoryMb });
      this.#session.on("error", () => {});
    }
    return this.#session;
  }
}

function answerOf(headers: IncomingHttpHeaders, data: Buffer): RawAnswer {
  const grpcStatus = headers["grpc-status"];
  const details = headers["grpc-status-details-bin"];
  const status = typeof details === "string" ? fromBinary(StatusSchema, Buffer.from(details, "base64")) : undefined;
  const found = status?.details.map(({ typeUrl, value }) => ({ type: typeUrl, value })) ?? [];
  return {
    http: Number(headers[":status"] ?? 0),
    code: grpcStatus === undefined ? undefined : codes[Number(grpcStatus)],
    ...errorInfoOf(found),
    messages: framesOf(data).map(({ message }) => message),
  };
}

/** The frames of a body of gRPC or of a stream of Connect. */
export function framesOf(data: Buffer): { readonly flags: number; readonly message: Buffer }[] {
  const frames: { flags: number; message: Buffer }[] = [];
  for (let at = 0; at + headBytes <= data.length; ) {
    const end = at + headBytes + data.readUInt32BE(at + 1);
    frames.push({ flags: data.readUInt8(at), message: data.subarray(at + headBytes, end) });
    at = end;
  }
  return frames;
}
