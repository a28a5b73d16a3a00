/** Lengths of time on a command line: 60s, 90m, 24h, 7d. */
import { UsageError } from "./exit-code.ts";

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 24 * 3_600_000 } as const;
const daysMax = 3_650;

/** Throws UsageError that names the option. */
export function durationMs(option: string, text: string): number {
  const [, number, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = Number(number) * unitMs[(unit ?? "s") as keyof typeof unitMs];
  if (number !== undefined && ms > 0 && ms <= daysMax * unitMs.d) return ms;
  throw new UsageError(`${option} ${text} is no length of time: 60s, 90m, 24h, 7d, at most ${daysMax}d`);
}
