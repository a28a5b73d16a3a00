/** Which slots this shard owns, as its own database says: the truth of ownership is in the shards (I6). */
import type pg from "pg";
import { nullifierBytes, slotCount } from "#proto/limits.ts";
import { type SlotRange, slotOf } from "#proto/slots.ts";

export class SlotOwnership {
  readonly #owned: Uint8Array;

  private constructor(owned: Uint8Array) {
    this.#owned = owned;
  }

  static async load(client: pg.Client): Promise<SlotOwnership> {
    const { rows } = await client.query<{ first_slot: number; last_slot: number }>(
      "SELECT first_slot, last_slot FROM urna.slots",
    );
    return SlotOwnership.of(rows.map((row) => [row.first_slot, row.last_slot]));
  }

  static of(ranges: readonly SlotRange[]): SlotOwnership {
    const owned = new Uint8Array(slotCount);
    for (const [first, last] of ranges) owned.fill(1, first, last + 1);
    return new SlotOwnership(owned);
  }

  /** In order, as few as can be. */
  get ranges(): SlotRange[] {
    const ranges: SlotRange[] = [];
    for (let first = this.#owned.indexOf(1); first !== -1; ) {
      const end = this.#owned.indexOf(0, first);
      const last = (end === -1 ? slotCount : end) - 1;
      ranges.push([first, last]);
      first = this.#owned.indexOf(1, last + 1);
    }
    return ranges;
  }

  ownsAll(nullifiers: Uint8Array): boolean {
    for (let offset = 0; offset < nullifiers.length; offset += nullifierBytes) {
      if (!this.owns(nullifiers, offset)) return false;
    }
    return true;
  }

  owns(nullifiers: Uint8Array, offset: number): boolean {
    return this.#owned[slotOf(nullifiers, offset)] === 1;
  }
}
