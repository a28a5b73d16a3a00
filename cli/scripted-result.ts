/** For tests: what the two shards of a deployment signed when an election closed, as a test wants it to be. */
import type { KeyObject } from "node:crypto";
import { definitionHash } from "#proto/election-shape.ts";
import type { ElectionResult } from "#proto/ledger/election-result.ts";
import { formatElectionResult } from "#proto/ledger/election-result.ts";
import { formatVerifierKey, generateLedgerKey, noteSigner, publicKeyOf, signNote } from "#proto/ledger/signed-note.ts";
import type { ShardNote } from "./result-document.ts";
import { combineResults, formatResultDocument } from "./result-document.ts";
import type { ScriptedLedger } from "./scripted-ledger.ts";
import { electionId } from "./scripted-ledger.ts";
import { givenVerifiers } from "./verifier-keys.ts";

/** What is signed instead of what is so. */
export type ResultChange = {
  readonly electionId?: string;
  readonly definitionHash?: Buffer;
  readonly origin?: string;
  readonly size?: number;
  readonly root?: Buffer;
  readonly options?: readonly string[];
  /** Of every option. */
  readonly count?: number;
};

type Counts = { readonly ann: number; readonly bob: number; readonly undervotes: number };
type Shard = { readonly shardId: number; readonly origin: string; readonly key: KeyObject; readonly note: string };

export class ScriptedResult {
  readonly #shards: readonly Shard[];

  /** Shard 0 is that of the ledger, as it is now. */
  constructor(ledger: ScriptedLedger, changes: { readonly all?: ResultChange; readonly second?: ResultChange } = {}) {
    const size = ledger.entries.length;
    const root = ledger.tree().root(0, size);
    const { key } = ledger;
    const first = { origin: ledger.origin, size, root };
    const second = { origin: "urna/shard/1", size: 20, root: Buffer.alloc(32, 1) };
    const { all = {}, second: secondChange = {} } = changes;
    // Where the log is another one, that of the second shard stays what it is.
    const { origin: _, ...rest } = all;
    this.#shards = [
      signedBy(0, key, resultOf(ledger, first, { ann: 3, bob: 1, undervotes: 1 }, all)),
      signedBy(
        1,
        generateLedgerKey(),
        resultOf(ledger, second, { ann: 4, bob: 3, undervotes: 0 }, { ...rest, ...secondChange }),
      ),
    ];
  }

  get verifierKeys(): string[] {
    return this.#shards.map(({ origin, key }) => formatVerifierKey(origin, publicKeyOf(key)));
  }

  notes(): ShardNote[] {
    return this.#shards.map(({ shardId, note }) => ({ shardId, signedNote: note }));
  }

  document(): string {
    return formatResultDocument(combineResults(this.notes(), givenVerifiers(this.verifierKeys)));
  }

  /** Notes that need not fit together, in a document that is right as far as notes are not looked at. */
  roughDocument(notes: readonly ShardNote[] = this.notes()): string {
    const shards = notes.map(({ shardId, signedNote }) => ({ shard_id: shardId, signed_note: signedNote }));
    return JSON.stringify({ schema_version: 1, election_id: electionId, totals: {}, shards });
  }
}

function resultOf(
  { definition }: ScriptedLedger,
  tree: ElectionResult["checkpoint"],
  counts: Counts,
  change: ResultChange,
): ElectionResult {
  const { origin = tree.origin, size = tree.size, root = tree.root, options = ["ann", "bob"], count } = change;
  return {
    checkpoint: { origin, size, root },
    electionId: change.electionId ?? electionId,
    definitionHash: change.definitionHash ?? definitionHash(definition),
    closeBatch: 17,
    ballots: counts.ann + counts.bob + counts.undervotes,
    contests: [
      {
        contestId: "mayor",
        options: options.map((optionId, i) => ({ optionId, count: count ?? (i === 0 ? counts.ann : counts.bob) })),
        undervotes: counts.undervotes,
      },
    ],
  };
}

function signedBy(shardId: number, key: KeyObject, result: ElectionResult): Shard {
  const { origin } = result.checkpoint;
  const note = signNote(formatElectionResult(result), noteSigner(origin, key)).toString();
  return { shardId, origin, key, note };
}
