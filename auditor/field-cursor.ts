/** Reads the fields of one row of a binary COPY, one after the other. For rows that come by the thousand, not by the million. */

/** Microseconds since 2000-01-01, as Postgres sends a time; its infinities are the ends of the range. */
const postgresEpochMs = Date.UTC(2000, 0, 1);
const int4Bytes = 4;

export class FieldCursor {
  readonly #row: Buffer;
  #at = 2;

  constructor(row: Buffer) {
    this.#row = row;
  }

  /** The bytes of the next field, sharing memory with the row; undefined for NULL. */
  next(): Buffer | undefined {
    const length = this.#row.readInt32BE(this.#at);
    this.#at += 4;
    if (length < 0) return undefined;
    const field = this.#row.subarray(this.#at, this.#at + length);
    if (field.length !== length) throw new RangeError("a row of a binary COPY ends in the middle of a field");
    this.#at += length;
    return field;
  }

  bytes(): Buffer {
    return Buffer.from(this.#present());
  }

  text(): string | undefined {
    return this.next()?.toString("utf8");
  }

  int4(): number {
    return this.#present().readInt32BE(0);
  }

  int8(): number {
    return readInt8(this.#present(), 0);
  }

  /** Unix time in milliseconds; the infinities of Postgres become those of JavaScript. */
  timeMs(): number {
    const microseconds = this.#present().readBigInt64BE(0);
    if (microseconds === -(2n ** 63n)) return Number.NEGATIVE_INFINITY;
    if (microseconds === 2n ** 63n - 1n) return Number.POSITIVE_INFINITY;
    return postgresEpochMs + Number(microseconds) / 1_000;
  }

  /** Of int4[]: one dimension without NULLs, as the batch log has them; undefined for any other. */
  int4Array(): Int32Array | undefined {
    const field = this.#present();
    const dimensions = field.readInt32BE(0);
    if (dimensions === 0) return new Int32Array(0);
    // dimensions, whether there are NULLs, type of the elements, then length and first index.
    const start = 20;
    const length = dimensions === 1 ? field.readInt32BE(12) : -1;
    if (length < 0 || field.length !== start + length * 2 * int4Bytes) return undefined;
    const values = new Int32Array(length);
    for (let i = 0; i < length; i++) values[i] = field.readInt32BE(start + i * 2 * int4Bytes + int4Bytes);
    return values;
  }

  #present(): Buffer {
    const field = this.next();
    if (field === undefined) throw new RangeError("a row of a binary COPY has NULL where the schema forbids it");
    return field;
  }
}

/** A whole number of eight bytes, exact up to 2 ** 53. */
export function readInt8(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}
