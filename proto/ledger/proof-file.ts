/**
 * Receipts as files (C2SP tlog-proof): an entry, its index, the proof that it is in the tree, and the signed checkpoint of
 * that tree. With the verifier key of the log, one file can be checked by anybody and without asking anybody.
 *
 *   c2sp.org/tlog-proof@v1
 *   extra <base64 of the leaf entry>
 *   index <n>
 *   <base64 of a hash, the leaf's sibling first>
 *   …
 *
 *   <signed checkpoint>
 */
import { decodeLines, encodeBase64, parseBase64, parseDecimal } from "#proto/ledger/canonical-text.ts";
import { type Checkpoint, parseCheckpoint } from "#proto/ledger/checkpoint.ts";
import { type LeafEntry, parseLeafEntry } from "#proto/ledger/leaf-entry.ts";
import { demandFormat } from "#proto/ledger/ledger-format-error.ts";
import { hashBytes, leafHash } from "#proto/ledger/merkle-hash.ts";
import { verifyInclusion } from "#proto/ledger/merkle-proof.ts";
import { noteBytesMax, parseVerifierKey, verifyNote } from "#proto/ledger/signed-note.ts";

const header = "c2sp.org/tlog-proof@v1";
/** Hashes of a proof in a tree of at most 2^53 - 1 leaves. */
const hashesMax = 53;
/** Bytes of what stands before the checkpoint, at most; an entry has 162. */
const proofBytesMax = 8_192;

export type ProofFile = {
  /** What the entry is made of; in Urna's files the leaf entry itself. */
  readonly extra?: Uint8Array | undefined;
  readonly index: number;
  readonly hashes: readonly Uint8Array[];
  readonly checkpointNote: Uint8Array;
};

export type VerifiedProof = { readonly entry: LeafEntry; readonly index: number; readonly checkpoint: Checkpoint };

/** Throws LedgerFormatError for what parseProofFile would not read. */
export function formatProofFile({ extra, index, hashes, checkpointNote }: ProofFile): Buffer {
  const extraLines = extra === undefined ? [] : [`extra ${encodeBase64(extra)}`];
  const lines = [header, ...extraLines, `index ${index}`, ...hashes.map(encodeBase64)];
  const file = Buffer.concat([Buffer.from(`${lines.join("\n")}\n\n`), checkpointNote]);
  parseProofFile(file);
  return file;
}

/** Throws LedgerFormatError unless `bytes` are what formatProofFile makes. Proves nothing: see verifyProofFile. */
export function parseProofFile(bytes: Uint8Array): ProofFile {
  const bytesMax = proofBytesMax + noteBytesMax;
  demandFormat(bytes.length <= bytesMax, `the proof file has ${bytes.length} bytes; at most ${bytesMax} are read`);
  const text = decodeLines("the proof file", bytes);
  demandFormat(text.startsWith(`${header}\n`), `the proof file does not start with the line ${header}`);
  const proofEnd = text.indexOf("\n\n");
  demandFormat(proofEnd !== -1, "the proof file has no blank line before a checkpoint; it may have been cut off");
  const checkpoint = text.slice(proofEnd + 2);
  demandFormat(checkpoint !== "", "the proof file has no checkpoint after its blank line; it may have been cut off");
  const lines = text.slice(0, proofEnd).split("\n").slice(1);
  const extra = fieldOf(lines, "extra");
  const index = fieldOf(lines, "index");
  demandFormat(index !== undefined, 'the proof file has no line "index <number>" where one is due');
  demandFormat(lines.length <= hashesMax, `the proof has ${lines.length} hashes; no tree needs more than ${hashesMax}`);
  return {
    ...(extra === undefined ? {} : { extra: parseBase64("the extra data of the proof file", extra) }),
    index: parseDecimal("the index in the proof file", index),
    hashes: lines.map(parseHash),
    checkpointNote: Buffer.from(checkpoint),
  };
}

/**
 * What a proof file proves to whoever trusts the verifier key, given as text. Throws LedgerFormatError when it proves
 * nothing. No byte of the file goes unchecked: a file with further signatures is refused, because nobody here could tell a
 * changed one from another.
 */
export function verifyProofFile(bytes: Uint8Array, verifierKey: string): VerifiedProof {
  const verifier = parseVerifierKey(verifierKey);
  const { extra, index, hashes, checkpointNote } = parseProofFile(bytes);
  demandFormat(extra !== undefined, 'the proof file has no leaf entry: the line "extra <base64>" is missing');
  const entry = parseLeafEntry(extra);
  const { text, unknown } = verifyNote(checkpointNote, [verifier]);
  demandFormat(unknown.length === 0, `the checkpoint has a signature by an unknown key, of ${unknown.join(", ")}`);
  const checkpoint = parseCheckpoint(text);
  const { origin, size, root } = checkpoint;
  demandFormat(
    origin === verifier.name,
    `the checkpoint is of the log ${origin}, but the key is that of ${verifier.name}`,
  );
  demandFormat(index < size, `the proof file is of leaf ${index}, but the checkpoint is of a tree of ${size} leaves`);
  const isIncluded = verifyInclusion({
    leafHash: leafHash(extra),
    leafIndex: index,
    treeSize: size,
    proof: hashes,
    root,
  });
  demandFormat(isIncluded, `the proof does not lead from the entry at index ${index} to the root in the checkpoint`);
  return { entry, index, checkpoint };
}

/** Takes the first line if it has this name, and answers its value. */
function fieldOf(lines: string[], name: string): string | undefined {
  if (lines[0]?.startsWith(`${name} `) !== true) return undefined;
  return lines.shift()?.slice(name.length + 1);
}

function parseHash(line: string): Buffer {
  const hash = parseBase64("a hash of the proof", line);
  demandFormat(hash.length === hashBytes, `a hash of the proof has ${hash.length} bytes, not ${hashBytes}`);
  return hash;
}
