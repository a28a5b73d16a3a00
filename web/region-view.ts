/** The table of a region's children. Each is a link: its region in the address's hash. */
import { element, setText } from "./element.ts";
import type { Row } from "./keyed-children.ts";
import { KeyedChildren } from "./keyed-children.ts";
import { regionAddress } from "./page-address.ts";
import type { RegionRow } from "./results-model.ts";

export type RegionTable = {
  readonly caption: string;
  /** Titles of the options that have a column, in order. */
  readonly columns: readonly string[];
  readonly withTurnout: boolean;
  /** On narrow screens a column of leaders takes the place of the options' columns. */
  readonly withLeader: boolean;
  readonly rows: readonly RegionRow[];
};

/** Cells are built for a fixed set of columns; another set makes a new table. */
export class RegionView {
  readonly #place: HTMLElement;
  #columns = "";
  #caption = element("caption");
  #rows: KeyedChildren<RegionRow> | undefined;

  constructor(place: HTMLElement) {
    this.#place = place;
  }

  show(table: RegionTable): void {
    this.#place.hidden = table.rows.length === 0;
    const columns = JSON.stringify([table.columns, table.withTurnout, table.withLeader]);
    if (this.#rows === undefined || columns !== this.#columns) this.#rows = this.#build(table);
    this.#columns = columns;
    setText(this.#caption, table.caption);
    this.#rows.show(table.rows);
  }

  #build(table: RegionTable): KeyedChildren<RegionRow> {
    const body = element("tbody");
    const heads = [
      head("Region", "name"),
      head("Ballots", "number"),
      ...(table.withTurnout ? [head("Turnout", "number")] : []),
      ...table.columns.map((title) => head(title, "number wide")),
      ...(table.withLeader ? [head("Leads", "number narrow")] : []),
    ];
    this.#caption = element("caption");
    const node = element("table", {}, this.#caption, element("thead", {}, element("tr", {}, ...heads)), body);
    this.#place.replaceChildren(node);
    return new KeyedChildren<RegionRow>(
      body,
      ({ regionId }) => regionId,
      ({ regionId }) => regionRowView(regionId, table),
    );
  }
}

function head(title: string, className: string): HTMLElement {
  return element("th", { scope: "col", class: className }, title);
}

function regionRowView(regionId: string, { columns, withTurnout, withLeader }: RegionTable): Row<RegionRow> {
  const link = element("a", { href: regionAddress(regionId) });
  const ballots = element("td", { class: "number" });
  const turnout = element("td", { class: "number" });
  const options = columns.map(() => ({ count: element("span"), share: element("span", { class: "share" }) }));
  const leader = element("td", { class: "number narrow" });
  const optionCells = options.map(({ count, share }) => element("td", { class: "number wide" }, count, " ", share));
  const cells = [ballots, ...(withTurnout ? [turnout] : []), ...optionCells, ...(withLeader ? [leader] : [])];
  return {
    node: element("tr", {}, element("th", { scope: "row", class: "name" }, link), ...cells),
    update(row) {
      setText(link, row.title);
      setText(ballots, row.ballots);
      setText(turnout, row.turnout ?? "–");
      options.forEach(({ count, share }, i) => {
        setText(count, row.options[i]?.count ?? "–");
        setText(share, row.options[i]?.share ?? "");
      });
      setText(leader, row.leader);
    },
  };
}
