/**
 * Receipt ids: "<log>-<leaf index in groups of four>-<check>", for example "1-0KM2-9". The shard's number and the leaf
 * index make it unique without coordination; Crockford's base 32 has no I, L, O or U to mishear; the check character
 * (Luhn mod 32) finds every single wrong character and nearly every swap of neighbours.
 */
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** By character code, because a receipt is made for every vote: the value of a letter, and the letter of a digit of toString(32). */
const letterValues = new Uint8Array(128);
const letterOf: string[] = [];
for (const [value, letter] of [...alphabet].entries()) {
  letterValues[letter.charCodeAt(0)] = value;
  letterOf[value.toString(32).charCodeAt(0)] = letter;
}

export type ReceiptPosition = { readonly shardId: number; readonly leafIndex: bigint };

export function formatReceiptId({ shardId, leafIndex }: ReceiptPosition): string {
  const log = base32(BigInt(shardId));
  const digits = base32(leafIndex);
  const leaf = digits.padStart(Math.max(4, Math.ceil(digits.length / 4) * 4), "0");
  let id = log;
  for (let i = 0; i < leaf.length; i += 4) id += `-${leaf.slice(i, i + 4)}`;
  return `${id}-${checkCharacter(log + leaf)}`;
}

/** Digits of the id that is being written, the last one first. */
const digitsBackwards = new Uint8Array(32);
const alphabetCodes = Uint8Array.from(alphabet, (letter) => letter.charCodeAt(0));
const hyphen = "-".charCodeAt(0);

/** Bytes that `writeReceiptId` writes at most. */
export const receiptIdBytesMax = 32;

/** Writes the ASCII bytes of what `formatReceiptId` makes; returns where the next byte goes. `leafIndex` is below 2^53. */
export function writeReceiptId(target: Uint8Array, offset: number, shardId: number, leafIndex: number): number {
  let leafDigits = takeDigits(0, leafIndex);
  while (leafDigits < 4 || leafDigits % 4 !== 0) digitsBackwards[leafDigits++] = 0;
  const digits = takeDigits(leafDigits, shardId);
  let sum = 0;
  let at = offset;
  for (let i = digits - 1; i >= 0; i--) {
    const digit = digitsBackwards[i] ?? 0;
    sum += weightOf(digit, i);
    if (i < leafDigits && i % 4 === 3) target[at++] = hyphen;
    target[at++] = alphabetCodes[digit] ?? 0;
  }
  target[at++] = hyphen;
  target[at++] = alphabetCodes[checkDigit(sum)] ?? 0;
  return at;
}

/** Puts the base-32 digits of `value`, at least one, after the first `count` ones; returns how many there are then. */
function takeDigits(count: number, value: number): number {
  let end = count;
  let rest = value;
  for (; rest >= 2 ** 31; rest = Math.floor(rest / 32)) digitsBackwards[end++] = rest % 32;
  do {
    digitsBackwards[end++] = rest & 31;
    rest >>>= 5;
  } while (rest > 0);
  return end;
}

/** What a receipt id names, or undefined when it is misspelt. Accepts lower case, and I, L, O for 1, 1, 0. */
export function parseReceiptId(text: string): ReceiptPosition | undefined {
  const clean = text.trim().toUpperCase().replaceAll("O", "0").replace(/[IL]/g, "1");
  const match = /^([0-9A-Z]+)((?:-[0-9A-Z]{4})+)-([0-9A-Z])$/.exec(clean);
  const [log, groups, check] = match?.slice(1) ?? [];
  if (log === undefined || groups === undefined || check === undefined) return undefined;
  const leaf = groups.replaceAll("-", "");
  if ([...(log + leaf)].some((digit) => !alphabet.includes(digit))) return undefined;
  if (checkCharacter(log + leaf) !== check) return undefined;
  return { shardId: Number(fromBase32(log)), leafIndex: fromBase32(leaf) };
}

function base32(value: bigint): string {
  const plain = value.toString(32);
  let digits = "";
  for (let i = 0; i < plain.length; i++) digits += letterOf[plain.charCodeAt(i)] ?? "";
  return digits;
}

function fromBase32(digits: string): bigint {
  let value = 0n;
  for (const digit of digits) value = value * 32n + BigInt(alphabet.indexOf(digit));
  return value;
}

function checkCharacter(digits: string): string {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    sum += weightOf(letterValues[digits.charCodeAt(digits.length - 1 - i)] ?? 0, i);
  }
  return alphabet.charAt(checkDigit(sum));
}

/** What a digit adds to the check sum, by its place from the end. */
function weightOf(digit: number, place: number): number {
  const weighted = place % 2 === 0 ? digit * 2 : digit;
  return (weighted >> 5) + (weighted & 31);
}

function checkDigit(sum: number): number {
  return (32 - (sum % 32)) % 32;
}
