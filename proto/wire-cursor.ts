/** Walks through a protobuf message field by field. Whatever does not fit is thrown as an UnreadableMessage. */

export const varintType = 0;
const fixed64Type = 1;
export const bytesType = 2;
const fixed32Type = 5;

export class UnreadableMessage extends Error {}

export class WireCursor {
  bytes: Uint8Array = emptyMessage;
  at = 0;

  /** Starts at the beginning of a message. */
  open(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.at = 0;
  }

  /** A whole number below 2^53; what is larger is none of ours. */
  varint(): number {
    const first = this.bytes[this.at++];
    if (first !== undefined && first < 0x80) return first;
    this.at -= 1;
    return this.#longVarint();
  }

  /** Where the bytes of a length-delimited field end; the cursor stands at the first of them. */
  end(): number {
    const length = this.varint();
    const end = this.at + length;
    if (end > this.bytes.length) throw new UnreadableMessage("a field ends after its message");
    return end;
  }

  /** Passes over the value of a field. */
  skip(wireType: number): void {
    if (wireType === varintType) this.#passVarint();
    else if (wireType === bytesType) this.at = this.end();
    else if (wireType === fixed64Type) this.#pass(8);
    else if (wireType === fixed32Type) this.#pass(4);
    else throw new UnreadableMessage(`wire type ${wireType}`);
  }

  #pass(length: number): void {
    this.at += length;
    if (this.at > this.bytes.length) throw new UnreadableMessage("a field ends after its message");
  }

  /** Of an unknown field: it may be larger than what is read. */
  #passVarint(): void {
    for (let length = 0; length < 10; length++) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new UnreadableMessage("a number is cut off");
      if (byte < 0x80) return;
    }
    throw new UnreadableMessage("a number of more than ten bytes");
  }

  #longVarint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 53; scale *= 0x80) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new UnreadableMessage("a number is cut off");
      value += (byte & 0x7f) * scale;
      if (byte >= 0x80) continue;
      if (!Number.isSafeInteger(value)) break;
      return value;
    }
    throw new UnreadableMessage("a number that is too large");
  }
}

const emptyMessage = new Uint8Array();
