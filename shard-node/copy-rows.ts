/**
 * Rows of a binary COPY, built in one Buffer. Layout: signature, flags and extension length; a row is the number of its
 * fields as int16, then the length of each as int32 and its bytes; int16 -1 ends (documentation of COPY, "Binary Format").
 */
import type pg from "pg";
import { copyHeadBytes, copyIn, copyTailBytes } from "./copy-in.ts";

const signature = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1");
const trailerBytes = 2;
/** Shorter ones are copied by a loop, which costs less than a call. */
const longBytes = 64;

/** Bytes of a row's start, and of each field without its value. */
export const rowHeadBytes = 2;
export const fieldHeadBytes = 4;

export class CopyRows {
  readonly #buffer: Buffer;
  #at: number;

  /** `bytes`: of all rows, heads included. */
  constructor(bytes: number) {
    this.#buffer = Buffer.allocUnsafe(copyHeadBytes + signature.length + bytes + trailerBytes + copyTailBytes);
    this.#at = copyHeadBytes + signature.copy(this.#buffer, copyHeadBytes);
  }

  startRow(fields: number): void {
    this.#at = this.#buffer.writeInt16BE(fields, this.#at);
  }

  int2(value: number): void {
    this.#at = this.#buffer.writeInt16BE(value, this.#buffer.writeInt32BE(2, this.#at));
  }

  int4(value: number): void {
    this.#at = this.#buffer.writeInt32BE(value, this.#buffer.writeInt32BE(4, this.#at));
  }

  /** Whole numbers up to 2 ** 53. */
  int8(value: number): void {
    const high = this.#buffer.writeInt32BE(Math.floor(value / 2 ** 32), this.#buffer.writeInt32BE(8, this.#at));
    this.#at = this.#buffer.writeUInt32BE(value % 2 ** 32, high);
  }

  bytes(source: Buffer, start = 0, end = source.length): void {
    let at = this.#buffer.writeInt32BE(end - start, this.#at);
    if (end - start > longBytes) at += source.copy(this.#buffer, at, start, end);
    else for (let i = start; i < end; i++) this.#buffer[at++] = source[i] as number;
    this.#at = at;
  }

  /** Pipelined: resolves when the server has taken all rows; the caller's COMMIT says whether they are stored. */
  copyInto(client: pg.Client, table: string, columns: string): Promise<void> {
    const end = this.#buffer.writeInt16BE(-1, this.#at);
    if (end !== this.#buffer.length - copyTailBytes) throw new Error("the rows of a COPY are not as long as was said");
    return copyIn(client, `COPY ${table} (${columns}) FROM STDIN (FORMAT binary)`, this.#buffer);
  }
}
