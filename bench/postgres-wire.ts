/**
 * As much of the Postgres wire protocol (version 3) as it takes to find a COMMIT and its answer among the messages of a
 * connection: framing both ways, names of prepared statements and portals, and which answer belongs to which request.
 */

/** Messages without a type byte, at the start of a connection. */
const startupCode = { sslRequest: 80877103, gssRequest: 80877104, cancelRequest: 80877102 } as const;

export type WireMessage = {
  /** The type byte as a character; "" for a message of the start of a connection. */
  readonly type: string;
  /** The whole message, its header included. */
  readonly bytes: Buffer;
};

/** Cuts a stream of bytes into chunks of known lengths, without joining what is not yet whole. */
class ByteQueue {
  #chunks: Buffer[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** The first bytes, which stay; undefined while there are fewer. */
  peek(bytes: number): Buffer | undefined {
    if (this.#length < bytes) return undefined;
    if ((this.#chunks[0]?.length ?? 0) < bytes) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0];
  }

  take(bytes: number): Buffer {
    const first = this.peek(bytes) ?? Buffer.alloc(0);
    this.#length -= bytes;
    if (first.length === bytes) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(bytes);
    return first.subarray(0, bytes);
  }
}

/** Frames one direction of a connection. */
export class MessageSplitter {
  readonly #queue = new ByteQueue();
  readonly #untyped: () => "start" | "single-byte" | "no";

  /** `untyped` says what comes next: a message without type, a single byte that answers an SSL request, or neither. */
  constructor(untyped: () => "start" | "single-byte" | "no") {
    this.#untyped = untyped;
  }

  push(chunk: Buffer): void {
    this.#queue.push(chunk);
  }

  /** The next whole message, or undefined. */
  next(): WireMessage | undefined {
    const form = this.#untyped();
    if (form === "single-byte") {
      return this.#queue.length === 0 ? undefined : { type: "", bytes: this.#queue.take(1) };
    }
    const typeBytes = form === "start" ? 0 : 1;
    const head = this.#queue.peek(typeBytes + 4);
    if (head === undefined) return undefined;
    const length = typeBytes + head.readInt32BE(typeBytes);
    if (this.#queue.length < length) return undefined;
    const bytes = this.#queue.take(length);
    return { type: typeBytes === 0 ? "" : String.fromCharCode(bytes[0] ?? 0), bytes };
  }
}

/** What a client asked for up to one ReadyForQuery: a simple query, or everything up to a Sync. */
type Request = { commit: readonly string[] | undefined };

/** Follows one connection: which transaction a COMMIT ends, and when its answer comes. */
export class PostgresConversation {
  readonly #statements = new Map<string, string>();
  readonly #portals = new Map<string, string>();
  /** Requests whose ReadyForQuery has not come. The first is the startup. */
  readonly #requests: Request[] = [{ commit: undefined }];
  #open: Request = { commit: undefined };
  #transaction: string[] = [];
  #started = false;
  #sslAnswers = 0;
  /** Process id of the server's backend, once it has said so. */
  backendPid: number | undefined;

  readonly fromClient = new MessageSplitter(() => (this.#started ? "no" : "start"));
  readonly fromServer = new MessageSplitter(() => (this.#sslAnswers > 0 ? "single-byte" : "no"));

  /**
   * Notes a message of the client on its way. Returns the statements of the transaction that it asks to commit, the
   * COMMIT included, or undefined when it asks for no commit.
   */
  clientSends({ type, bytes }: WireMessage): readonly string[] | undefined {
    switch (type) {
      case "":
        this.#noteStartup(bytes.readInt32BE(4));
        return undefined;
      case "Q": {
        const commit = this.#noteStatement(textAt(bytes, 5).text);
        this.#endRequest();
        return commit;
      }
      case "P": {
        const name = textAt(bytes, 5);
        this.#statements.set(name.text, textAt(bytes, name.end).text);
        return undefined;
      }
      case "B": {
        const portal = textAt(bytes, 5);
        const statement = textAt(bytes, portal.end);
        this.#portals.set(portal.text, this.#statements.get(statement.text) ?? "");
        return undefined;
      }
      case "E":
        return this.#noteStatement(this.#portals.get(textAt(bytes, 5).text) ?? "");
      case "S":
        this.#endRequest();
        return undefined;
      default:
        return undefined;
    }
  }

  /** Notes a message of the server. Returns the transaction's statements when it is the answer of a COMMIT. */
  serverSends({ type, bytes }: WireMessage): { statements: readonly string[]; tag: string } | undefined {
    switch (type) {
      case "":
        this.#sslAnswers--;
        return undefined;
      case "K":
        this.backendPid = bytes.readInt32BE(5);
        return undefined;
      case "Z":
        this.#requests.shift();
        return undefined;
      case "C": {
        const tag = textAt(bytes, 5).text;
        const statements = this.#requests[0]?.commit;
        if (statements === undefined || (tag !== "COMMIT" && tag !== "ROLLBACK")) return undefined;
        return { statements, tag };
      }
      default:
        return undefined;
    }
  }

  #noteStartup(code: number): void {
    if (code === startupCode.sslRequest || code === startupCode.gssRequest) this.#sslAnswers++;
    else this.#started = true;
  }

  #noteStatement(text: string): readonly string[] | undefined {
    if (/^\s*(begin|start\s+transaction)\b/i.test(text)) this.#transaction = [];
    this.#transaction.push(text);
    if (!/^\s*(commit|end)\b|;\s*(commit|end)\s*;?\s*$/i.test(text)) return undefined;
    const statements = this.#transaction;
    this.#transaction = [];
    this.#open.commit = statements;
    return statements;
  }

  #endRequest(): void {
    this.#requests.push(this.#open);
    this.#open = { commit: undefined };
  }
}

function textAt(bytes: Buffer, start: number): { text: string; end: number } {
  const zero = bytes.indexOf(0, start);
  const end = zero === -1 ? bytes.length : zero;
  return { text: bytes.toString("utf8", start, end), end: end + 1 };
}
