/**
 * Postgres arrays in binary, built in one Buffer each: `pg` sends a Buffer parameter as binary, and an array of values as
 * escaped text. Layout: int32 dimensions, int32 flags, int32 element oid, int32 length, int32 lower bound; then int32
 * length and bytes of each element, big-endian (array_recv in the Postgres sources).
 */
const oid = { int4: 23, uuid: 2950 } as const;
const headerBytes = 20;

function header(buffer: Buffer, elementOid: number, length: number): void {
  buffer.writeInt32BE(length === 0 ? 0 : 1, 0);
  buffer.writeInt32BE(0, 4);
  buffer.writeInt32BE(elementOid, 8);
  if (length === 0) return;
  buffer.writeInt32BE(length, 12);
  buffer.writeInt32BE(1, 16);
}

function allocate(elementOid: number, length: number, payloadBytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(length === 0 ? 12 : headerBytes + length * 4 + payloadBytes);
  header(buffer, elementOid, length);
  return buffer;
}

/** Each element 16 bytes. */
export function uuidArray(values: readonly Uint8Array[]): Buffer {
  const buffer = allocate(oid.uuid, values.length, values.length * 16);
  let offset = headerBytes;
  for (const value of values) {
    offset = buffer.writeInt32BE(16, offset);
    buffer.set(value, offset);
    offset += 16;
  }
  return buffer;
}

export function int4Array(values: ArrayLike<number>): Buffer {
  const buffer = allocate(oid.int4, values.length, values.length * 4);
  let offset = headerBytes;
  for (let i = 0; i < values.length; i++) {
    offset = buffer.writeInt32BE(4, offset);
    offset = buffer.writeInt32BE(values[i] ?? 0, offset);
  }
  return buffer;
}
