/**
 * A stranger who asks LedgerService and believes nothing: keeps every checkpoint that was ever shown, in order, and has the
 * Go program (go-verifier.ts) check them and the receipts. Only what goes over the wire reaches that program.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { GoVerifier } from "#bench/go-verifier.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { CallError } from "#mesh/call-error.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";

/** What the stranger has on one shard. */
type SeenShard = { readonly verifierKey: string; readonly notes: SeenNote[] };
type SeenNote = { readonly note: string; readonly size: bigint };

const askLimitMs = 5_000;
const coveredLimitMs = 30_000;
const watchEveryMs = 25;

export class LedgerVisitor {
  readonly #clients: readonly Client<typeof LedgerService>[];
  readonly #go: GoVerifier;
  readonly #folder: string;
  readonly #shards: ReadonlyMap<number, SeenShard>;
  #turn = 0;
  #files = 0;

  private constructor(
    clients: readonly Client<typeof LedgerService>[],
    go: GoVerifier,
    folder: string,
    shards: ReadonlyMap<number, SeenShard>,
  ) {
    this.#clients = clients;
    this.#go = go;
    this.#folder = folder;
    this.#shards = shards;
  }

  /** Takes the keys from the first router. `folder` is for the files that the program reads. */
  static async arrive(routers: readonly string[], go: GoVerifier, folder: string): Promise<LedgerVisitor> {
    const clients = routers.map((router) => createClient(LedgerService, router));
    const visitor = new LedgerVisitor(clients, go, folder, new Map());
    const { keys } = await visitor.#ask("the keys", (client) => client.getVerifierKeys({}, { deadlineMs: askLimitMs }));
    const shards = keys.map(({ shardId, verifierKey }): [number, SeenShard] => [shardId, { verifierKey, notes: [] }]);
    return new LedgerVisitor(clients, go, folder, new Map(shards));
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  get shardIds(): number[] {
    return [...this.#shards.keys()];
  }

  verifierKey(shardId: number): string {
    return this.#shard(shardId).verifierKey;
  }

  /** Distinct checkpoints that were shown. */
  seen(shardId: number): number {
    return this.#shard(shardId).notes.length;
  }

  /** The newest checkpoint, by the next router. Undefined where none answers now. */
  async look(shardId: number): Promise<SeenNote | undefined> {
    const answered = await this.#askOnce((client) => client.getCheckpoint({ shardId }, { deadlineMs: askLimitMs }));
    if (answered === undefined) return undefined;
    const note = Buffer.from(answered.signedNote).toString("utf8");
    const { notes } = this.#shard(shardId);
    const seen = { note, size: BigInt(note.split("\n")[1] ?? "") };
    if (notes.at(-1)?.note !== note) notes.push(seen);
    return seen;
  }

  /** Looks at all shards again and again until it is stopped. */
  watch(): { stop(): Promise<void> } {
    let stopping = false;
    const watching = Promise.all(
      this.shardIds.map(async (shardId) => {
        while (!stopping) {
          await this.look(shardId);
          await delay(watchEveryMs);
        }
      }),
    );
    // Whoever stops it hears of a failure.
    watching.catch(() => {});
    return {
      async stop() {
        stopping = true;
        await watching;
      },
    };
  }

  /** Waits for a checkpoint of at least so many leaves. */
  covered(shardId: number, leaves: number): Promise<SeenNote> {
    return waitFor(`a checkpoint of ${leaves} leaves of shard ${shardId}`, coveredLimitMs, async () => {
      const newest = await this.look(shardId);
      return newest !== undefined && newest.size >= leaves ? newest : undefined;
    });
  }

  /** Proof files of these leaves, all in one tree that has them, checked by the program. Answers its lines. */
  async checkReceipts(shardId: number, leaves: readonly number[], key?: string): Promise<readonly string[]> {
    const { note, size } = await this.covered(shardId, Math.max(...leaves) + 1);
    const folder = join(this.#folder, `receipts-${this.#files++}`);
    await mkdir(folder);
    await Promise.all(
      leaves.map(async (leaf) => {
        const request = { shardId, leafIndex: BigInt(leaf), treeSize: size };
        const { hashes, entry } = await this.#ask(`the proof of leaf ${leaf}`, (client) =>
          client.getInclusionProof(request, { deadlineMs: askLimitMs }),
        );
        const lines = ["c2sp.org/tlog-proof@v1", `extra ${base64(entry)}`, `index ${leaf}`, ...hashes.map(base64)];
        await writeFile(join(folder, `leaf-${leaf}`), `${lines.join("\n")}\n\n${note}`);
      }),
    );
    return (await this.#go.check("receipts", folder, key ?? this.verifierKey(shardId))).lines;
  }

  /** Each checkpoint in the order seen against the one before, and the last against the first; answers the program's lines. */
  async checkHistory(shardId: number): Promise<string[]> {
    const { notes } = this.#shard(shardId);
    const [first, last] = [notes[0], notes.at(-1)];
    if (first === undefined || last === undefined) throw new Error(`no checkpoint of shard ${shardId} was seen`);
    const steps = notes.slice(1).map((note, i): [SeenNote, SeenNote] => [notes[i] ?? first, note]);
    const lines: string[] = [];
    for (const [older, newer] of [...steps, [first, last] as const]) {
      lines.push(...(await this.checkContinues(shardId, older, newer)));
    }
    return lines;
  }

  async checkContinues(shardId: number, older: SeenNote, newer: SeenNote): Promise<readonly string[]> {
    const hashes = await this.#consistency(shardId, older.size, newer.size);
    const name = join(this.#folder, `step-${this.#files++}`);
    await writeFile(`${name}-older`, older.note);
    await writeFile(`${name}-newer`, newer.note);
    await writeFile(`${name}-proof`, hashes.map((hash) => `${base64(hash)}\n`).join(""));
    const paths = ["older", "newer", "proof"].map((part) => `${name}-${part}`);
    return (await this.#go.check("consistency", ...paths, this.verifierKey(shardId))).lines;
  }

  /** Of each shard, what it signed at the close. */
  async results(electionId: string): Promise<{ readonly shardId: number; readonly signed: SeenNote }[]> {
    const { results } = await this.#ask("the result", (client) =>
      client.getElectionResult({ electionId }, { deadlineMs: askLimitMs }),
    );
    return results.map(({ shardId, signedNote }) => {
      const note = Buffer.from(signedNote).toString("utf8");
      return { shardId, signed: { note, size: BigInt(note.split("\n")[1] ?? "") } };
    });
  }

  /** From the empty tree, and to a smaller one, nobody is asked: there is no such proof, and the program says the rest. */
  async #consistency(shardId: number, oldSize: bigint, newSize: bigint): Promise<readonly Uint8Array[]> {
    if (oldSize === 0n || oldSize > newSize) return [];
    const { hashes } = await this.#ask("a consistency proof", (client) =>
      client.getConsistencyProof({ shardId, oldSize, newSize }, { deadlineMs: askLimitMs }),
    );
    return hashes;
  }

  #ask<T>(what: string, call: (client: Client<typeof LedgerService>) => Promise<T>): Promise<T> {
    return waitFor(what, coveredLimitMs, () => this.#askOnce(call), watchEveryMs);
  }

  /** Of the next router; undefined where it, or the shard behind it, does not answer now. */
  async #askOnce<T>(call: (client: Client<typeof LedgerService>) => Promise<T>): Promise<T | undefined> {
    const client = this.#clients[this.#turn++ % this.#clients.length] as Client<typeof LedgerService>;
    try {
      return await call(client);
    } catch (error) {
      const passes = error instanceof CallError || (error instanceof RejectionError && error.retryable);
      if (!passes) throw error;
      return undefined;
    }
  }

  #shard(shardId: number): SeenShard {
    const shard = this.#shards.get(shardId);
    if (shard === undefined) throw new Error(`there is no shard ${shardId}`);
    return shard;
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
