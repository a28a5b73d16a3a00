/** What the audit found, in a box that nobody overlooks; there only while there is something in it. */
import type { FindingsBox } from "./audit-model.ts";
import { element, placeFor, setText } from "./element.ts";
import { KeyedChildren } from "./keyed-children.ts";

type Finding = { readonly place: number; readonly text: string };

export class FindingsView {
  readonly #list = new KeyedChildren<Finding>(placeFor("finding-list"), ({ place }) => String(place), findingRow);

  show({ title, findings }: FindingsBox): void {
    placeFor("findings").hidden = title === undefined;
    if (title !== undefined) setText(placeFor("findings-title"), title);
    this.#list.show(findings.map((text, place) => ({ place, text })));
  }
}

function findingRow() {
  const node = element("li");
  return { node, update: ({ text }: Finding) => setText(node, text) };
}
