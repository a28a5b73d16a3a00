/** Reads parsed JSON that somebody else has written. Every error names the subject, the field and what it should be. */
import { parseHostPort } from "#mesh/host-port.ts";
import { slotCount } from "#proto/limits.ts";
import type { SlotRange } from "#proto/slots.ts";

const textLengthMax = 1_000;

export type JsonRecord = Readonly<Record<string, unknown>>;

export class JsonReader {
  readonly #subject: string;

  /** `subject` begins every error: "directory". */
  constructor(subject: string) {
    this.#subject = subject;
  }

  demand(condition: boolean, problem: string): asserts condition {
    if (!condition) throw new Error(`${this.#subject}: ${problem}`);
  }

  parse(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`${this.#subject}: is no JSON`);
    }
  }

  record(value: unknown, at: string): JsonRecord {
    this.demand(typeof value === "object" && value !== null && !Array.isArray(value), `${at} must be an object`);
    return value as JsonRecord;
  }

  list(value: unknown, at: string): readonly unknown[] {
    this.demand(Array.isArray(value), `${at} must be a list`);
    return value;
  }

  text(value: unknown, at: string): string {
    this.demand(typeof value === "string" && value !== "", `${at} must be a text`);
    // It goes into log lines.
    this.demand(value.length <= textLengthMax, `${at} must have at most ${textLengthMax} characters`);
    return value;
  }

  integer(value: unknown, at: string): number {
    const isOne = typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
    this.demand(isOne, `${at} must be a whole number`);
    return value;
  }

  address(value: unknown, at: string): string {
    const text = this.text(value, at);
    this.demand(parseHostPort(text) !== undefined, `${at} "${text}" must be host:port`);
    return text;
  }

  shardId(value: unknown, at: string): number {
    const id = this.integer(value, at);
    this.demand(id < slotCount, `${at} must be less than ${slotCount}`);
    return id;
  }

  slots(value: unknown, at: string): SlotRange[] {
    return this.list(value, at).map((range) => {
      const [first, last, ...more] = this.list(range, at);
      this.demand(more.length === 0, `${at} must be pairs of first and last slot`);
      return [this.integer(first, at), this.integer(last, at)];
    });
  }
}
