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

export function callErrorCode(code: number): CallErrorCode {
  const name = status[code];
  return name === undefined ? "UNKNOWN" : (name as CallErrorCode);
}
