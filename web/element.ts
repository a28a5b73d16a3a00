/** Making elements. Text from the server goes through text nodes only: nothing it says can become markup. */
type Attributes = Readonly<Record<string, string>>;

export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The element of index.html with this id. */
export function placeFor(id: string): HTMLElement {
  const place = document.getElementById(id);
  if (place === null) throw new Error(`the page has no element "${id}"`);
  return place;
}

/** Leaves the text alone when it has not changed, so that nobody's selection or screen reader is disturbed. */
export function setText(target: Node, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}
