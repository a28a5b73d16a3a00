/** Reads and checks environment variables. Every error names the variable, what it should be and what it is. */
import type { HostPort } from "#mesh/host-port.ts";
import { parseHostPort } from "#mesh/host-port.ts";

export class ConfigError extends Error {
  constructor(variable: string, problem: string) {
    super(`${variable} ${problem}`);
    this.name = "ConfigError";
  }
}

export class ConfigReader {
  readonly #env: Readonly<Record<string, string | undefined>>;

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env;
  }

  /** Undefined when it is not set, or empty. */
  optional(variable: string): string | undefined {
    const value = this.#env[variable];
    return value === undefined || value === "" ? undefined : value;
  }

  text(variable: string, fallback?: string): string {
    const value = this.optional(variable) ?? fallback;
    if (value === undefined) throw new ConfigError(variable, "is not set");
    return value;
  }

  integer(variable: string, range: { min: number; max: number; fallback?: number }): number {
    const text = this.text(variable, range.fallback?.toString());
    const value = Number(text);
    if (!/^-?\d+$/.test(text) || value < range.min || value > range.max) {
      throw new ConfigError(variable, `must be a whole number from ${range.min} to ${range.max}, not "${text}"`);
    }
    return value;
  }

  hostPort(variable: string, fallback?: string): HostPort {
    const text = this.text(variable, fallback);
    const parsed = parseHostPort(text);
    if (parsed === undefined) throw new ConfigError(variable, `must be host:port, not "${text}"`);
    return parsed;
  }

  /** Entries of a comma list, trimmed; empty when it is not set and there is no fallback. */
  list(variable: string, fallback = ""): string[] {
    const entries = (this.optional(variable) ?? fallback).split(",").map((entry) => entry.trim());
    return entries.filter((entry) => entry !== "");
  }
}
