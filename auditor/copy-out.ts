/**
 * COPY … TO STDOUT (FORMAT binary) as one query of a `pg` client: rows are handed on as they come, as the bytes of the wire,
 * and nothing is kept of them. Layout: signature, flags, extension length and extension; a row is the number of its fields as
 * int16, then the length of each as int32 and its bytes; int16 -1 ends (documentation of COPY, "Binary Format").
 */
import pg from "pg";

const signature = Buffer.from("PGCOPY\n\xff\r\n\0", "latin1");
const flagBytes = 4;
const lengthBytes = 4;
const headerBytes = signature.length + flagBytes + lengthBytes;
const trailer = -1;

/** From the number of its fields on. The bytes are the connection's: they are another row's after the call. */
export type RowHandler = (row: Buffer) => void;

/** Runs `select`. What the handler throws ends the copy, and is thrown here. */
export function copyOut(client: pg.Client, select: string, onRow: RowHandler): Promise<void> {
  const cutter = new RowCutter(onRow);
  return new Promise((resolve, reject) => {
    const query = new pg.Query(`COPY (${select}) TO STDOUT (FORMAT binary)`, (error) => {
      if (error !== null && error !== undefined) reject(error);
      else if (cutter.failure !== undefined) reject(cutter.failure);
      else resolve();
    });
    Object.assign(query, { handleCopyData: ({ chunk }: { chunk: Buffer }) => cutter.take(chunk) });
    client.query(query);
  });
}

/** The server sends each row as a message of its own, the first one behind the header. */
class RowCutter {
  readonly #onRow: RowHandler;
  #headed = false;
  #ended = false;
  failure: unknown;

  constructor(onRow: RowHandler) {
    this.#onRow = onRow;
  }

  take(chunk: Buffer): void {
    if (this.failure !== undefined) return;
    try {
      const row = this.#headed ? chunk : this.#behead(chunk);
      if (row.length === 0) return;
      if (this.#ended) throw new Error("a binary COPY went on after its end");
      if (row.readInt16BE(0) === trailer) this.#ended = true;
      else this.#onRow(row);
    } catch (error) {
      // Thrown here it would end the process: the connection calls from its own events.
      this.failure = error;
    }
  }

  #behead(chunk: Buffer): Buffer {
    if (!chunk.subarray(0, signature.length).equals(signature)) throw new Error("this is no binary COPY");
    this.#headed = true;
    return chunk.subarray(headerBytes + chunk.readUInt32BE(signature.length + flagBytes));
  }
}
