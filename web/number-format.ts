/** How numbers and times are written on the page: always the same way, whatever the browser's language. */
const counts = new Intl.NumberFormat("en-US");
const shares = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** "799,014" */
export function formatCount(count: bigint | number): string {
  return counts.format(count);
}

/** Part of whole between 0 and 1; 0 when there is nothing to divide. Exact enough for any count of voters. */
export function fractionOf(part: bigint, whole: bigint): number {
  return whole === 0n ? 0 : Number((part * 1_000_000n) / whole) / 1_000_000;
}

/** "52.6 %", with a space that does not break; "–" when there is nothing to divide. */
export function formatShare(part: bigint, whole: bigint): string {
  return whole === 0n ? "–" : `${shares.format(fractionOf(part, whole) * 100)}\u00a0%`;
}

/** "14:03:22", in the reader's own time zone. */
export function formatClock(time: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

/** "640 bytes", "12 kB", "3.4 MB" */
export function formatBytes(bytes: bigint): string {
  if (bytes < 1_000n) return `${bytes} bytes`;
  if (bytes < 1_000_000n) return `${bytes / 1_000n} kB`;
  return `${shares.format(Number(bytes / 100_000n) / 10)} MB`;
}
