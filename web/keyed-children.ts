/** A parent whose children stand for things with keys: kept, moved, made and removed, never rebuilt. */
export type Row<Model> = { readonly node: HTMLElement; update(model: Model): void };

export class KeyedChildren<Model> {
  readonly #parent: HTMLElement;
  readonly #keyOf: (model: Model) => string;
  readonly #make: (model: Model) => Row<Model>;
  readonly #rows = new Map<string, Row<Model>>();

  constructor(parent: HTMLElement, keyOf: (model: Model) => string, make: (model: Model) => Row<Model>) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#make = make;
  }

  show(models: readonly Model[]): void {
    const wanted = new Set(models.map(this.#keyOf));
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) continue;
      row.node.remove();
      this.#rows.delete(key);
    }
    models.forEach((model, position) => {
      const row = this.#rowOf(model);
      row.update(model);
      const standing = this.#parent.children[position] ?? null;
      if (standing !== row.node) this.#parent.insertBefore(row.node, standing);
    });
  }

  #rowOf(model: Model): Row<Model> {
    const key = this.#keyOf(model);
    const row = this.#rows.get(key) ?? this.#make(model);
    this.#rows.set(key, row);
    return row;
  }
}
