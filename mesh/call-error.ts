/** A call that failed without a rejection of our catalogue: the network, a deadline, a cancellation, a stranger's server. */
import { status } from "@grpc/grpc-js";

export type CallErrorCode = keyof typeof status;

export class CallError extends Error {
  readonly code: CallErrorCode;

  constructor(code: CallErrorCode, message: string) {
    super(message);
    this.name = "CallError";
    this.code = code;
  }
}

/** What is wrong between the certificates of the two ends, or with their speaking TLS at all; undefined when that is not it. */
export function tlsProblemOf({ message }: CallError): string | undefined {
  return /TLS: (.*?)(?:\.? Resolution note: .*)?$/s.exec(message)?.[1];
}

export function callErrorCode(code: number): CallErrorCode {
  const name = status[code];
  return name === undefined ? "UNKNOWN" : (name as CallErrorCode);
}
