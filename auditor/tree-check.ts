/**
 * Grows the tree that the rows lead to. Where a row's leaf hash is not the stored one, the tree of the stored hashes is grown
 * beside it, until a root tells which of the two was changed: the row or the store. From there on one tree goes on, so a
 * single forged row does not taint every root after it.
 */
import { hashBytes } from "#proto/ledger/merkle-hash.ts";
import { type FullTile, TreeFrontier } from "#proto/ledger/tree-frontier.ts";

/** Leaves in doubt that are remembered one by one. */
const doubtsMax = 100_000;

export type Verdict =
  /** Of the leaves in doubt, the rows are not what was signed or logged. */
  | { readonly kind: "rows-changed"; readonly leaves: readonly number[] }
  /** Of the leaves in doubt, the stored hashes are not. */
  | { readonly kind: "store-changed"; readonly leaves: readonly number[] };

export type Judgement = {
  /** Whether the rows, or with doubts the stored hashes, lead to the root. Undefined where a lost leaf leaves no tree. */
  readonly holds: boolean | undefined;
  readonly verdict: Verdict | undefined;
};

export class TreeCheck {
  #rows: TreeFrontier;
  /** Grown only while there are doubts. */
  #stored: TreeFrontier | undefined;
  #doubts: number[] = [];
  #isBlind = false;
  #root: Buffer | undefined;

  constructor(tree = TreeFrontier.empty()) {
    this.#rows = tree.clone();
  }

  get size(): number {
    return this.#rows.size;
  }

  /** A copy of the tree of the rows; undefined where it is in doubt or lost. */
  get tree(): TreeFrontier | undefined {
    return this.isCertain ? this.#rows.clone() : undefined;
  }

  /** Whether rows and store agree on all leaves so far, or a root has told which of them is right. */
  get isCertain(): boolean {
    return this.#stored === undefined && !this.#isBlind;
  }

  /** Whether a leaf was lost: no root after it can be made again. */
  get isBlind(): boolean {
    return this.#isBlind;
  }

  /** The leaves whose rows and stored hashes differ, while no root has told which of them is right. */
  get doubts(): readonly number[] {
    return this.#doubts;
  }

  /** Neither row nor store has the hash of a leaf. */
  loseLeaf(): void {
    this.#isBlind = true;
  }

  /**
   * Adds leaves, 32 bytes each in both columns. Answers the tiles that became full, as rows and store would have them; they are
   * the same list where there are no doubts.
   */
  append(rows: Buffer, stored: Buffer): { rows: FullTile[]; stored: FullTile[] } {
    if (!rows.equals(stored)) this.#note(rows, stored);
    this.#root = undefined;
    const ofRows = this.#rows.append(rows);
    return { rows: ofRows, stored: this.#stored?.append(stored) ?? ofRows };
  }

  /** Compares with a root that was logged or signed for the present size. */
  judge(root: Buffer): Judgement {
    if (this.#isBlind) return { holds: undefined, verdict: undefined };
    this.#root ??= this.#rows.root;
    const rowsHold = this.#root.equals(root);
    if (this.#stored === undefined) return { holds: rowsHold, verdict: undefined };
    const storeHolds = this.#stored.root.equals(root);
    if (rowsHold === storeHolds) return { holds: rowsHold, verdict: undefined };
    const leaves = this.#doubts;
    if (storeHolds) this.#rows = this.#stored;
    this.#stored = undefined;
    this.#doubts = [];
    this.#root = undefined;
    return { holds: true, verdict: { kind: storeHolds ? "rows-changed" : "store-changed", leaves } };
  }

  /** The last hashes of the leaves, as many as are in no full tile. */
  tail(): Buffer {
    return this.#rows.partial(0);
  }

  #note(rows: Buffer, stored: Buffer): void {
    this.#stored ??= this.#rows.clone();
    for (let at = 0; at < rows.length && this.#doubts.length < doubtsMax; at += hashBytes) {
      const isSame = rows.compare(stored, at, at + hashBytes, at, at + hashBytes) === 0;
      if (!isSame) this.#doubts.push(this.#rows.size + at / hashBytes);
    }
  }
}
