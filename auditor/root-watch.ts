/**
 * Compares the tree with every root that is known for a size of it: those of the batch log, and those that were signed (I8).
 * A forged row taints all roots after it, so faults that follow from one another are one finding.
 */
import type { LogBatch } from "./batch-chain.ts";
import type { FindingBook } from "./finding-book.ts";
import type { SignedSize } from "./signed-size.ts";
import type { TreeCheck, Verdict } from "./tree-check.ts";

type Contradiction = { readonly signed: SignedSize; readonly afterLeaf: number; later: number };

type RootRun = { readonly first: LogBatch; last: LogBatch };

export type RootWatchOptions = {
  readonly shardId: number;
  readonly findings: FindingBook;
  readonly tree: TreeCheck;
  /** In the order of their sizes; those below the tree's present size are passed over. */
  readonly signed: readonly SignedSize[];
  /** The log's number among those of the shard. */
  readonly generation: number;
  readonly onVerdict: (verdict: Verdict, because: string) => void;
};

export class RootWatch {
  readonly #options: RootWatchOptions;
  #nextSigned = 0;
  /** Leaves up to which a signed root holds, of whichever generation, and of each. */
  #signedLeaves = 0;
  readonly #heldLeaves = new Map<number, number>();
  /** Of each generation before, the largest that does not hold. */
  readonly #lost = new Map<number, SignedSize>();
  #contradicted: Contradiction | undefined;
  /** The first batch whose root did not hold since the last signed root that did. */
  #suspect: LogBatch | undefined;
  #run: RootRun | undefined;
  #unjudged = 0;

  constructor(options: RootWatchOptions) {
    this.#options = options;
    this.#skipTo(options.tree.size);
  }

  /** How many leaves are covered by a signed root that holds. */
  get signedLeaves(): number {
    return this.#signedLeaves;
  }

  /** The next size at which there is a signed root; infinite at the end. */
  get nextSize(): number {
    return this.#options.signed[this.#nextSigned]?.size ?? Number.POSITIVE_INFINITY;
  }

  /** The tree has reached a size: compares with all that was signed for it. */
  checkSigned(): void {
    const { tree, signed } = this.#options;
    for (; this.nextSize === tree.size; this.#nextSigned++) {
      const next = signed[this.#nextSigned];
      if (next !== undefined) this.#judgeSigned(next);
    }
  }

  /** The tree has reached the end of a batch. */
  checkBatch(batch: LogBatch): void {
    const { tree } = this.#options;
    if (batch.stored === undefined) return;
    const { holds, verdict } = tree.judge(batch.stored.root);
    if (verdict !== undefined) this.#options.onVerdict(verdict, `the root of batch ${batch.number} holds`);
    if (holds !== false) {
      this.#endRun();
      return;
    }
    this.#suspect ??= batch;
    if (this.#run === undefined) this.#run = { first: batch, last: batch };
    else this.#run.last = batch;
  }

  /** The log has ended: reports what is left. */
  finish(): void {
    this.#endRun();
    const { tree, signed, findings, shardId } = this.#options;
    this.#reportBeyond(signed.slice(this.#nextSigned), tree.size);
    for (const largest of this.#lost.values()) this.#reportLoss(largest);
    if (this.#contradicted !== undefined) this.#reportContradiction(this.#contradicted);
    if (tree.doubts.length > 0) {
      const leaves = tree.doubts;
      this.#options.onVerdict({ kind: "rows-changed", leaves }, "neither leads to a root that was logged or signed");
    }
    if (this.#unjudged === 0) return;
    const detail = `a leaf is lost, so ${this.#unjudged} signed roots could not be made again`;
    findings.add({
      kind: "CHECKPOINT_CONTRADICTED",
      shardId,
      leaf: this.#signedLeaves,
      throughLeaf: tree.size - 1,
      detail,
    });
  }

  #judgeSigned(signed: SignedSize): void {
    const { tree, generation } = this.#options;
    const { holds, verdict } = tree.judge(signed.root);
    const because = `${signed.what} of ${signed.size} leaves holds`;
    if (verdict !== undefined) this.#options.onVerdict(verdict, because);
    if (holds === undefined) this.#unjudged += 1;
    else if (holds) {
      this.#signedLeaves = signed.size;
      this.#heldLeaves.set(signed.generation, signed.size);
      this.#suspect = undefined;
    } else if (signed.generation < generation) this.#lost.set(signed.generation, signed);
    else if (this.#contradicted !== undefined) this.#contradicted.later += 1;
    else {
      const afterLeaf = Math.max(this.#signedLeaves, this.#suspect?.firstLeaf ?? 0);
      this.#contradicted = { signed, afterLeaf, later: 0 };
    }
  }

  #reportContradiction({ signed, afterLeaf, later }: Contradiction): void {
    const { findings, shardId } = this.#options;
    const more = later === 0 ? "" : `, nor to ${later} later ones`;
    findings.add({
      kind: "CHECKPOINT_CONTRADICTED",
      shardId,
      leaf: afterLeaf,
      throughLeaf: Math.max(afterLeaf, signed.size - 1),
      detail: `the leaves do not lead to the root that was signed in ${signed.what} of ${signed.size} leaves${more}; one of these was rewritten`,
    });
  }

  /** Of several that are longer than the log, the longest says it all. */
  #reportBeyond(beyond: readonly SignedSize[], size: number): void {
    const { findings, shardId, generation } = this.#options;
    for (const signed of beyond) if (signed.generation < generation) this.#lost.set(signed.generation, signed);
    const longest = beyond.findLast((signed) => signed.generation >= generation);
    if (longest === undefined) return;
    const missing = `${longest.size - size} ${longest.size - size === 1 ? "leaf is" : "leaves are"} missing`;
    findings.add({
      kind: "LEAVES_MISSING",
      shardId,
      leaf: size,
      throughLeaf: longest.size - 1,
      detail: `${longest.what} has ${longest.size} leaves and the log ${size}: ${missing}`,
    });
  }

  #reportLoss({ size, generation, what }: SignedSize): void {
    const { findings, shardId } = this.#options;
    const leaf = this.#heldLeaves.get(generation) ?? 0;
    const detail = `${what} of ${size} leaves of generation ${generation} of the log is not what the log has: a loss was accepted`;
    findings.add({ kind: "LOSS_ACCEPTED", shardId, leaf, throughLeaf: Math.max(leaf, size - 1), detail });
  }

  #endRun(): void {
    const run = this.#run;
    this.#run = undefined;
    if (run === undefined) return;
    const { findings, shardId } = this.#options;
    const { first, last } = run;
    findings.add({
      kind: "ROOT_CHANGED",
      shardId,
      leaf: Math.max(0, Math.min(first.firstLeaf, first.endLeaf - 1)),
      throughLeaf: Math.max(0, first.endLeaf - 1),
      batch: first.number,
      throughBatch: last.number,
      detail: "the leaves do not lead to the root that the log has for it",
    });
  }

  #skipTo(size: number): void {
    while (this.nextSize < size) this.#nextSigned += 1;
  }
}
