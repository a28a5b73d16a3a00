/** Base-128 numbers as protobuf writes them, for messages that are written and read without protobuf-es. */

/** From here on bit operations would lose bits. */
const bitsEnd = 2 ** 31;

/** Bytes of `value`, a whole number from 0 to 2^53 - 1. */
export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = rest < bitsEnd ? rest >>> 7 : Math.floor(rest / 0x80)) length += 1;
  return length;
}

/** Returns where the next byte goes. */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  let at = offset;
  let rest = value;
  for (; rest >= bitsEnd; rest = Math.floor(rest / 0x80)) target[at++] = (rest % 0x80) | 0x80;
  for (; rest >= 0x80; rest >>>= 7) target[at++] = (rest & 0x7f) | 0x80;
  target[at++] = rest;
  return at;
}
