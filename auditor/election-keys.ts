/** A number for each election, the same on all shards: there, each shard has its own. */
export class ElectionKeys {
  readonly #keys = new Map<string, number>();
  readonly #ids: string[] = [];

  of(electionId: string): number {
    const known = this.#keys.get(electionId);
    if (known !== undefined) return known;
    this.#keys.set(electionId, this.#ids.length);
    return this.#ids.push(electionId) - 1;
  }

  idOf(key: number): string {
    return this.#ids[key] ?? "?";
  }
}
