/** Writes the proof of a receipt to the file that `--save` or `--out` named. */
import { parseVerifierKey } from "#proto/ledger/signed-note.ts";
import type { CommandContext, CommonOptions } from "./command-context.ts";
import { UsageError } from "./exit-code.ts";
import { formatLeaves } from "./number-format.ts";
import { OutputFile, ownerOnly } from "./output-file.ts";
import type { ProofWanted } from "./receipt-proof.ts";
import { obtainProof } from "./receipt-proof.ts";
import { callLimits, findRouter } from "./server-connection.ts";
import { plainText } from "./text-table.ts";

export type SavedProof = {
  /** For people. */
  readonly lines: readonly string[];
  /** For programs; a 64-bit number is a string, as in the answers of routers. */
  readonly json: { readonly file: string; readonly treeSize: string; readonly verifierKey: string };
};

export class ProofFileOutput {
  readonly #file: OutputFile;
  readonly #verifierKey: string | undefined;
  readonly #context: CommandContext;

  private constructor(file: OutputFile, verifierKey: string | undefined, context: CommandContext) {
    this.#file = file;
    this.#verifierKey = verifierKey;
    this.#context = context;
  }

  /**
   * Undefined when no file is wanted. Throws UsageError when it could not be written, and LedgerFormatError when the key is
   * none: before a server is asked.
   */
  static of(
    option: string,
    name: string | undefined,
    verifierKey: string | undefined,
    context: CommandContext,
  ): ProofFileOutput | undefined {
    if (name !== undefined) {
      if (verifierKey !== undefined) parseVerifierKey(verifierKey);
      return new ProofFileOutput(new OutputFile(option, name, context.folder), verifierKey, context);
    }
    if (verifierKey === undefined) return undefined;
    throw new UsageError(`--verifier-key is what a proof is checked with: give ${option} FILE, too`);
  }

  /** Nothing is written unless all of it verifies: throws NotVerifiedError otherwise. */
  async save(wanted: Omit<ProofWanted, "verifierKey">, options: CommonOptions): Promise<SavedProof> {
    const router = await findRouter(options, this.#context);
    const proof = await obtainProof(router, { ...wanted, verifierKey: this.#verifierKey }, callLimits(this.#context));
    this.#file.write(proof.file, ownerOnly);
    const { checkpoint, verifierKey } = proof;
    const where = `the log of ${formatLeaves(checkpoint.size)} that ${plainText(checkpoint.origin)} signed`;
    const trust = this.#verifierKey === undefined ? ["The key is the one that the router names: compare it."] : [];
    return {
      lines: [
        `saved     ${this.#file.path}: the vote is in ${where}`,
        `checked   with ${plainText(verifierKey)}`,
        ...trust,
      ],
      json: { file: this.#file.path, treeSize: String(checkpoint.size), verifierKey },
    };
  }
}
