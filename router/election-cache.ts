/**
 * Elections as the cast path needs them: shape, definition hash and what its key makes. Definitions never change, so an entry stays until a
 * shard says that it holds another. Look-ups of one election are made once for all who wait; that an election is unknown is
 * remembered for a moment only, and the look-ups that are under way are bounded (I9).
 */
import type { KeyObject } from "node:crypto";
import type { Logger } from "#mesh/log.ts";
import type { ElectionShape } from "#proto/election-shape.ts";
import { electionShape } from "#proto/election-shape.ts";
import type { ElectionRecord } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { unwrapKey } from "./election-key.ts";
import { NullifierMaker } from "./nullifier.ts";

export type CachedElection = {
  readonly electionId: string;
  readonly shape: ElectionShape;
  readonly definitionHash: Uint8Array;
  readonly nullifiers: NullifierMaker;
};

const unknownForMs = 250;
const electionsMax = 256;
const lookUpsMax = 256;
const idPattern = /^[a-z0-9-]{1,64}$/;

/** Reads an election from its home shard; undefined when there is none. Throws SHARD_UNAVAILABLE. */
export type ReadElection = (electionId: string) => Promise<ElectionRecord | undefined>;

export class ElectionCache {
  readonly #read: ReadElection;
  readonly #routerKey: KeyObject;
  /** In the order of their last look-up, oldest first. */
  readonly #elections = new Map<string, CachedElection>();
  readonly #unknownUntilMs = new Map<string, number>();
  readonly #lookUps = new Map<string, Promise<CachedElection>>();
  /** Elections whose home could not be reached when it was last asked. */
  readonly #away = new Set<string>();
  readonly #log: Logger;

  constructor(read: ReadElection, routerKey: KeyObject, log: Logger) {
    this.#read = read;
    this.#routerKey = routerKey;
    this.#log = log;
  }

  /** At once, or undefined when the election must be looked up. Throws UNKNOWN_ELECTION. */
  peek(electionId: string): CachedElection | undefined {
    const election = this.#elections.get(electionId);
    if (election !== undefined) return election;
    if (!idPattern.test(electionId) || this.#isUnknown(electionId)) throw new RejectionError("UNKNOWN_ELECTION");
    return undefined;
  }

  /** Throws UNKNOWN_ELECTION, SHARD_UNAVAILABLE, OVERLOADED or INTERNAL. */
  async get(electionId: string): Promise<CachedElection> {
    const election = this.peek(electionId);
    if (election !== undefined) return election;
    let lookUp = this.#lookUps.get(electionId);
    if (lookUp === undefined) {
      if (this.#lookUps.size >= lookUpsMax) throw new RejectionError("OVERLOADED", "too many elections are looked up");
      lookUp = this.#lookUp(electionId).finally(() => this.#lookUps.delete(electionId));
      this.#lookUps.set(electionId, lookUp);
    } else if (this.#away.has(electionId)) {
      // One asks for all: votes that wait for a dead shard take the room of others' (I9).
      throw new RejectionError("SHARD_UNAVAILABLE", "the election's home shard cannot be reached");
    }
    return await lookUp;
  }

  /** A shard holds another definition than this one: it is read again when next asked for. */
  drop(election: CachedElection): void {
    if (this.#elections.get(election.electionId) === election) this.#elections.delete(election.electionId);
  }

  /** The election has just been created here. */
  created(electionId: string): void {
    this.#unknownUntilMs.delete(electionId);
  }

  async #lookUp(electionId: string): Promise<CachedElection> {
    const record = await this.#readHome(electionId);
    if (record?.definition === undefined) {
      this.#rememberUnknown(electionId);
      throw new RejectionError("UNKNOWN_ELECTION");
    }
    const shape = electionShape(record.definition);
    const election: CachedElection = {
      electionId,
      shape,
      definitionHash: shape.definitionHash,
      nullifiers: new NullifierMaker(this.#unwrap(electionId, record.wrappedKey)),
    };
    const [oldest] = this.#elections.keys();
    if (this.#elections.size >= electionsMax && oldest !== undefined) this.#elections.delete(oldest);
    this.#elections.set(electionId, election);
    return election;
  }

  async #readHome(electionId: string): Promise<ElectionRecord | undefined> {
    try {
      const record = await this.#read(electionId);
      this.#away.delete(electionId);
      return record;
    } catch (cause) {
      if (this.#away.size >= electionsMax) this.#away.clear();
      this.#away.add(electionId);
      throw cause;
    }
  }

  #unwrap(electionId: string, wrappedKey: Uint8Array): Uint8Array {
    try {
      return unwrapKey(this.#routerKey, electionId, wrappedKey);
    } catch (cause) {
      // Said once a look-up, not once a vote.
      this.#log.error({ err: cause, election: electionId }, "the election's key was wrapped under another router key");
      throw new RejectionError("INTERNAL");
    }
  }

  #isUnknown(electionId: string): boolean {
    const until = this.#unknownUntilMs.get(electionId);
    return until !== undefined && performance.now() < until;
  }

  #rememberUnknown(electionId: string): void {
    // Entries all last equally long, so the first ones in are the first to go.
    const now = performance.now();
    for (const [id, until] of this.#unknownUntilMs) {
      if (until > now && this.#unknownUntilMs.size < electionsMax) break;
      this.#unknownUntilMs.delete(id);
    }
    this.#unknownUntilMs.delete(electionId);
    this.#unknownUntilMs.set(electionId, now + unknownForMs);
  }
}
