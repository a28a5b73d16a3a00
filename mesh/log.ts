/** JSON logs on standard output. A log line never holds a voter ID, a ballot ID or a key. */
import type { Logger } from "pino";
import { pino } from "pino";

export type { Logger } from "pino";

/** `name` is the node's; `level` one of pino's ("info", "debug", "silent", …). */
export function createLogger(name: string, level = "info"): Logger {
  return pino({
    name,
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}
