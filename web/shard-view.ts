/** A line a shard. How far an auditor has verified it is a column that is there only while one follows. */
import { element, setText } from "./element.ts";
import type { Row } from "./keyed-children.ts";
import { KeyedChildren } from "./keyed-children.ts";
import type { ShardLine } from "./shard-model.ts";

type Column = { readonly head: string; readonly kind: string; text(line: ShardLine): string };

const columns: readonly Column[] = [
  { head: "Batch", kind: "number", text: ({ batch }) => batch },
  { head: "Counted to", kind: "number", text: ({ counted }) => counted },
  { head: "Verified through", kind: "number verified", text: ({ verified }) => verified ?? "–" },
  { head: "Votes", kind: "number", text: ({ votes }) => votes },
  { head: "Standby", kind: "words", text: ({ standby }) => standby },
  { head: "State", kind: "words", text: ({ note }) => note },
];

export class ShardTable {
  readonly #table = element("table", { class: "shards" });
  readonly #rows: KeyedChildren<ShardLine>;

  constructor(place: HTMLElement) {
    const heads = columns.map(({ head, kind }) => element("th", { scope: "col", class: kind }, head));
    const body = element("tbody");
    const first = element("th", { scope: "col", class: "name" }, "Shard");
    this.#table.append(element("thead", {}, element("tr", {}, first, ...heads)), body);
    place.append(this.#table);
    this.#rows = new KeyedChildren<ShardLine>(body, ({ shardId }) => String(shardId), shardRow);
  }

  show(lines: readonly ShardLine[]): void {
    const isAudited = lines.some(({ verified }) => verified !== undefined);
    this.#table.classList.toggle("audited", isAudited);
    this.#rows.show(lines);
  }
}

function shardRow({ shardId }: ShardLine): Row<ShardLine> {
  const name = element("th", { scope: "row", class: "name" }, `Shard ${shardId}`);
  const cells = columns.map(({ head, kind }) => element("td", { class: kind, "data-head": head }));
  return {
    node: element("tr", {}, name, ...cells),
    update(line) {
      columns.forEach(({ text }, i) => {
        const cell = cells[i];
        if (cell !== undefined) setText(cell, text(line));
      });
      cells.at(-1)?.classList.toggle("fault", !line.healthy);
    },
  };
}
