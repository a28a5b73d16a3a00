/**
 * The few rules that every text of the ledger shares. Whatever has two spellings is refused in all but one: otherwise a
 * signed text and a changed copy of it would both be read, and a flipped bit could go unnoticed.
 */
import { isUtf8 } from "node:buffer";
import { demandFormat } from "#proto/ledger/ledger-format-error.ts";

const newline = 0x0a;
const firstPrintable = 0x20;

/** The text of bytes that are UTF-8 with "\n" as the only control character, and that end with one. `what` names them. */
export function decodeLines(what: string, bytes: Uint8Array): string {
  demandFormat(isUtf8(bytes), `${what} is not UTF-8`);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  demandLines(what, text);
  return text;
}

/** The same rules for text that is decoded already. */
export function demandLines(what: string, text: string): void {
  demandFormat(
    !text.includes("\r"),
    `${what} has a carriage return; its lines must end with a line feed alone, not CRLF`,
  );
  demandFormat(!hasControlCharacter(text), `${what} has a control character other than a line feed`);
  demandFormat(text !== "", `${what} is empty`);
  demandFormat(text.endsWith("\n"), `${what} ends in the middle of a line; it may have been cut off`);
}

function hasControlCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < firstPrintable && code !== newline) return true;
  }
  return false;
}

/** A whole number of at most 2^53 - 1, in decimal and without leading zeros. */
export function parseDecimal(what: string, text: string): number {
  demandFormat(/^(0|[1-9][0-9]*)$/.test(text), `${what} "${text}" is not a decimal number without leading zeros`);
  const value = Number(text);
  demandFormat(Number.isSafeInteger(value), `${what} ${text} is larger than ${Number.MAX_SAFE_INTEGER}`);
  return value;
}

/** Bytes in the one base64 spelling that an encoder gives them: padded, unused bits zero, nothing else in between. */
export function parseBase64(what: string, text: string): Buffer {
  const bytes = Buffer.from(text, "base64");
  demandFormat(bytes.toString("base64") === text, `${what} is not canonical base64`);
  return bytes;
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
