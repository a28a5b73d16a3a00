/** Bytes or text that are not what a format of the ledger demands. The message is a sentence for people. */
export class LedgerFormatError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "LedgerFormatError";
  }
}

export function demandFormat(condition: boolean, message: string): asserts condition {
  if (!condition) throw new LedgerFormatError(message);
}
