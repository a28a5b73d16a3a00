/**
 * The text of a signed head of a tree (C2SP tlog-checkpoint): <origin>\n<tree size>\n<base64 of the root>\n, and after that
 * extension lines: only election-result.ts writes any.
 */
import { demandLines, encodeBase64, parseBase64, parseDecimal } from "#proto/ledger/canonical-text.ts";
import { demandFormat } from "#proto/ledger/ledger-format-error.ts";
import { hashBytes } from "#proto/ledger/merkle-hash.ts";

export type Checkpoint = {
  /** Which tree it is of, for example "town/shard/3". */
  readonly origin: string;
  /** Leaves. */
  readonly size: number;
  /** 32 bytes */
  readonly root: Buffer;
  readonly extensions: readonly string[];
};

/** Throws LedgerFormatError for what parseCheckpoint would not read. */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  const text = `${[origin, size, encodeBase64(root), ...extensions].join("\n")}\n`;
  parseCheckpoint(text);
  return text;
}

/** Throws LedgerFormatError for all that is not exactly a checkpoint. */
export function parseCheckpoint(text: string): Checkpoint {
  demandLines("the checkpoint", text);
  const lines = text.slice(0, -1).split("\n");
  demandFormat(!lines.includes(""), "the checkpoint has an empty line");
  const [origin, size, base64, ...extensions] = lines;
  demandFormat(
    origin !== undefined && size !== undefined && base64 !== undefined,
    "the checkpoint does not have the three lines origin, size and root",
  );
  const root = parseBase64("the checkpoint's root", base64);
  demandFormat(root.length === hashBytes, `the checkpoint's root has ${root.length} bytes, not ${hashBytes}`);
  return { origin, size: parseDecimal("the checkpoint's size", size), root, extensions };
}

/** The origin that a signed note begins with. To be believed only once the note verifies under that name. */
export function claimedOrigin(note: Uint8Array): string {
  const bytes = Buffer.from(note.buffer, note.byteOffset, note.byteLength);
  return bytes.toString("utf8", 0, Math.max(0, bytes.indexOf("\n")));
}
