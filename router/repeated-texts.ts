/**
 * Strings of ids that come again and again, by their bytes: a region's id is in each of its votes, and to decode it anew would
 * cost more than to find it. A table of a fixed size, in which a new text takes the place of the one that was there.
 */

/** Room for the regions of the largest election. */
const slots = 32_768;
const textBytesMax = 255;

export class RepeatedTexts {
  readonly #texts = new Array<string>(slots).fill("");

  /** The text from `start` to `end`; undefined when it is long or not ASCII, and so for protobuf-es to decode. */
  at(bytes: Uint8Array, start: number, end: number): string | undefined {
    if (end - start > textBytesMax) return undefined;
    let sum = 0x811c9dc5;
    let bits = 0;
    for (let i = start; i < end; i++) {
      const byte = bytes[i] ?? 0;
      bits |= byte;
      sum = Math.imul(sum ^ byte, 0x01000193);
    }
    if (bits >= 0x80) return undefined;
    const slot = (sum ^ (sum >>> 15)) & (slots - 1);
    const found = this.#texts[slot] ?? "";
    if (isSame(found, bytes, start, end)) return found;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");
    this.#texts[slot] = text;
    return text;
  }
}

function isSame(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false;
  return true;
}
