/**
 * What a launcher can be asked through its control socket: one JSON object a line, answered by lines of progress and then
 * one that says how it ended. The socket belongs to the user who started the launcher; whoever can open it may ask.
 */

/** Requests. */
export type ControlRequest =
  | { readonly kind: "list" }
  /** Ends the process in order and starts it again. */
  | { readonly kind: "restart"; readonly name: string }
  /** From now on processes start from this checkout; its migrations are run first. */
  | { readonly kind: "release"; readonly checkout: string };

export type ControlReason =
  /** The line is none of the requests. */
  | "INVALID_REQUEST"
  | "UNKNOWN_PROCESS"
  /** The checkout cannot take over this run. */
  | "INVALID_RELEASE"
  /** Another restart or release is under way, or the launcher stops. */
  | "BUSY"
  /** The process ended, or was not there, and could not be started. */
  | "NOT_STARTED"
  | "INTERNAL";

export class ControlError extends Error {
  readonly reason: ControlReason;

  constructor(reason: ControlReason, message: string) {
    super(message);
    this.name = "ControlError";
    this.reason = reason;
  }
}

/** A line of an answer. */
export type ControlLine =
  | { readonly progress: string }
  | { readonly done: unknown }
  | { readonly error: { readonly reason: ControlReason; readonly message: string } };

export type ListedProcess = {
  readonly name: string;
  readonly kind: "router" | "tally" | "shard-node";
  /** Of a shard node. */
  readonly shard?: number;
  /** 0 while it does not run. */
  readonly pid: number;
};

export type ProcessList = { readonly processes: readonly ListedProcess[]; readonly release: Release };

/** Where processes start from. */
export type Release = { readonly checkout: string; readonly version: string };

export type Restarted = {
  readonly name: string;
  readonly pid: number;
  readonly former_pid: number;
  /** From the request until the new process ran. */
  readonly away_ms: number;
};

export const requestBytesMax = 16 * 1024;

/** Throws ControlError INVALID_REQUEST, with one line that says why. */
export function parseRequest(line: string): ControlRequest {
  const request = parsedObject(line);
  const [key, ...others] = Object.keys(request);
  const value = key === undefined ? undefined : request[key];
  if (others.length > 0) throw invalid("it has more than one field");
  if (key === "list" && value === true) return { kind: "list" };
  if (key === "restart" && typeof value === "string") return { kind: "restart", name: value };
  if (key === "release" && typeof value === "string") return { kind: "release", checkout: value };
  throw invalid('it is none of {"list":true}, {"restart":"<process>"}, {"release":"<path of a checkout>"}');
}

function parsedObject(line: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    throw invalid("it is not JSON");
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw invalid("it is not an object");
  return parsed as Record<string, unknown>;
}

function invalid(because: string): ControlError {
  return new ControlError("INVALID_REQUEST", `the request cannot be used: ${because}`);
}
