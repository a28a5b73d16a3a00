/** How numbers and times are written in a terminal. */
const counts = new Intl.NumberFormat("en-US");
const shares = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** "799,014" */
export function formatCount(count: bigint | number): string {
  return counts.format(count);
}

/** "1 ballot", "12,000 ballots"; the noun is given in the singular. */
export function formatNumberOf(count: bigint, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1n ? "" : "s"}`;
}

/** "1 leaf", "7 leaves" */
export function formatLeaves(size: number): string {
  return `${formatCount(size)} ${size === 1 ? "leaf" : "leaves"}`;
}

/** "52.6 %"; "-" when there is nothing to divide. */
export function formatShare(part: bigint, whole: bigint): string {
  return whole === 0n ? "-" : `${shares.format(Number((part * 1_000_000n) / whole) / 10_000)} %`;
}

/** "14:03:22", local time. */
export function formatClock(time: Date): string {
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}
