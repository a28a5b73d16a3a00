/**
 * The checker's own reading of what the contract says of ballots, nullifiers and slots. It shares no code with the
 * services: a mistake that both made alike would not be found.
 */
import type { KeyObject } from "node:crypto";
import { createDecipheriv, createHash, createHmac, createSecretKey } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import type { SentVote } from "#bench/vote-ledger.ts";
import type { Contest, ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionDefinitionSchema } from "#proto/generated/urna/v1/election_pb.js";

/** A vote as a row holds it: bytes as hex. */
export type StoredChoice = { readonly region: number; readonly ballot: string; readonly keyHash: string };

/** What a cell counts, in words: "ballots", "contest option" or "contest undervotes". */
export type CellName = string;

type Cells = { readonly first: number; readonly undervotes: number; readonly selectable: number };

export class ElectionReading {
  readonly electionId: string;
  readonly definitionHash: string;
  readonly leaves: readonly string[];
  readonly cellNames: readonly CellName[];
  readonly #ordinals: ReadonlyMap<string, number>;
  readonly #contests = new Map<string, { readonly contest: Contest; readonly cells: Cells }>();

  constructor(definition: Uint8Array) {
    const read: ElectionDefinition = fromBinary(ElectionDefinitionSchema, definition);
    this.electionId = read.electionId;
    this.definitionHash = createHash("sha256").update(definition).digest("hex");
    const ids = read.regions.map(({ regionId }) => regionId);
    const parents = new Set(ids.flatMap((id) => [...id.matchAll(/\//g)].map(({ index }) => id.slice(0, index))));
    this.leaves = ids.filter((id) => !parents.has(id));
    this.#ordinals = new Map(this.leaves.map((id, ordinal) => [id, ordinal]));
    const names: CellName[] = ["ballots"];
    for (const contest of read.contests) {
      const cells = {
        first: names.length,
        undervotes: names.length + contest.options.length,
        selectable: contest.maxSelections === 0 ? 1 : contest.maxSelections,
      };
      this.#contests.set(contest.contestId, { contest, cells });
      for (const { optionId } of contest.options) names.push(`${contest.contestId} ${optionId}`);
      names.push(`${contest.contestId} undervotes`);
    }
    this.cellNames = names;
  }

  /** How a row must hold the vote; undefined when no row can: it names what the election does not have. */
  stored({ regionId, selections, idempotencyKey }: SentVote): StoredChoice | undefined {
    const region = this.#ordinals.get(regionId);
    if (region === undefined) return undefined;
    const chosen: number[] = [];
    for (const { contestId, optionIds } of selections) {
      const found = this.#contests.get(contestId);
      for (const optionId of optionIds) {
        const position = found?.contest.options.findIndex((option) => option.optionId === optionId) ?? -1;
        if (found === undefined || position === -1) return undefined;
        chosen.push(found.cells.first + position);
      }
    }
    const ballot = chosen
      .sort((a, b) => a - b)
      .map((cell) => cell.toString(16).padStart(4, "0"))
      .join("");
    return { region, ballot, keyHash: keyHashOf(idempotencyKey) };
  }

  /** What a row adds to: cell and how much. Undefined when the row is no ballot of this election. */
  counts(region: number, ballot: string): Map<number, number> | undefined {
    const leaf = this.leaves[region];
    if (leaf === undefined || ballot.length % 4 !== 0) return undefined;
    const chosen = ballot.match(/.{4}/g)?.map((cell) => Number.parseInt(cell, 16)) ?? [];
    const counts = new Map<number, number>([[0, 1]]);
    let explained = 0;
    for (const { contest, cells } of this.#contests.values()) {
      const made = chosen.filter((cell) => cell >= cells.first && cell < cells.undervotes);
      explained += made.length;
      for (const cell of made) counts.set(cell, 1);
      if (!isOnBallot(contest, leaf)) {
        if (made.length > 0) return undefined;
      } else if (made.length < cells.selectable) {
        counts.set(cells.undervotes, cells.selectable - made.length);
      } else if (made.length > cells.selectable) return undefined;
    }
    return explained === chosen.length && new Set(chosen).size === chosen.length ? counts : undefined;
  }
}

function isOnBallot({ regionIds }: Contest, leaf: string): boolean {
  return regionIds.length === 0 || regionIds.some((id) => leaf === id || leaf.startsWith(`${id}/`));
}

function keyHashOf(idempotencyKey: Uint8Array): string {
  if (idempotencyKey.length === 0) return "0".repeat(32);
  return createHash("sha256").update(idempotencyKey).digest("hex").slice(0, 32);
}

/** The election key: nonce (12), ciphertext (32) and tag (16), under the routers' key, with the election id as AAD. */
export function unwrapElectionKey(routerKey: Uint8Array, electionId: string, wrapped: Uint8Array): KeyObject {
  const decipher = createDecipheriv("aes-256-gcm", routerKey, wrapped.subarray(0, 12));
  decipher.setAAD(Buffer.from(electionId));
  decipher.setAuthTag(wrapped.subarray(44, 60));
  return createSecretKey(Buffer.concat([decipher.update(wrapped.subarray(12, 44)), decipher.final()]));
}

/** As hex. */
export function nullifierOf(electionKey: KeyObject, voterId: string): string {
  return createHmac("sha256", electionKey).update(voterId).digest("hex").slice(0, 32);
}

/** The first 14 bits. */
export function slotOfNullifier(nullifier: string): number {
  return Number.parseInt(nullifier.slice(0, 4), 16) >> 2;
}
