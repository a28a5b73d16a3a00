/** What a checker found wrong, by assertion. Long lists are cut: the first cases are the ones that are looked at. */

export const assertions = {
  A1: "no loss: every acknowledged receipt has its row on the owner of its slot, same choice, same leaf",
  A2: "no double: each (election, voter) exactly once over all shards, by slot ownership",
  A3: "no phantom: every row was sent by somebody, with exactly that choice, and was not refused",
  A4: "no flip: all successful answers for one voter carry the same receipt",
  A5: "tally: counts equal the rows, per option and region",
  A6: "ledger unbroken from the first leaf; sizes equal rows; the standby's is equal",
  A7: "every slot has exactly one owner",
  A8: "two copies: the row is on the standby",
  A9: "after healing: no leaked sessions or locks",
  A10: "not vacuous: enough acknowledgements in each phase, and the fault really happened",
  I10: "a vote counts only if its batch precedes the election's close batch on its shard",
} as const;

export type Assertion = keyof typeof assertions;

const casesMax = 10;

export class Findings {
  readonly #cases = new Map<Assertion, { count: number; first: string[] }>();

  add(assertion: Assertion, what: string): void {
    const found = this.#cases.get(assertion) ?? { count: 0, first: [] };
    this.#cases.set(assertion, found);
    found.count++;
    if (found.first.length < casesMax) found.first.push(what);
  }

  demand(assertion: Assertion, holds: boolean, what: () => string): void {
    if (!holds) this.add(assertion, what());
  }

  /** One line a case: "A1: …". Empty when everything holds. */
  lines(): string[] {
    return [...this.#cases].flatMap(([assertion, { count, first }]) => [
      ...first.map((what) => `${assertion}: ${what}`),
      ...(count > first.length ? [`${assertion}: and ${count - first.length} more`] : []),
    ]);
  }
}
