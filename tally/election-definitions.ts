/**
 * Fetches the definitions of elections when a shard first speaks of them. Shards speak of a new election all at once, and
 * a definition may be large: it is fetched once, from whichever shard spoke first.
 */
import type { ElectionShape } from "#proto/election-shape.ts";
import { electionShape } from "#proto/election-shape.ts";
import type { ShardClient } from "./shard-peers.ts";

export class ElectionDefinitions {
  readonly #deadlineMs: number;
  readonly #fetches = new Map<string, Promise<ElectionShape>>();

  /** `deadlineMs` bounds a fetch, and so everybody who waits for it. */
  constructor(deadlineMs: number) {
    this.#deadlineMs = deadlineMs;
  }

  /** Joins a fetch that is under way. Throws when it fails, or when the definition is not valid. */
  fetch(electionId: string, client: ShardClient): Promise<ElectionShape> {
    let fetch = this.#fetches.get(electionId);
    if (fetch === undefined) {
      fetch = this.#fetch(electionId, client).finally(() => this.#fetches.delete(electionId));
      this.#fetches.set(electionId, fetch);
    }
    return fetch;
  }

  async #fetch(electionId: string, client: ShardClient): Promise<ElectionShape> {
    const { definition } = await client.getShardElection({ electionId }, { deadlineMs: this.#deadlineMs });
    if (definition?.electionId !== electionId) throw new Error(`no definition of election "${electionId}"`);
    return electionShape(definition);
  }
}
