/** Names of people and places as ids: `[a-z0-9-]{1,64}`, and two names never share one. */

export const slugLengthMax = 64;

/** Letters that Unicode does not decompose into a base letter and a mark. */
const latinLetters: ReadonlyMap<string, string> = new Map([
  ["ß", "ss"],
  ["æ", "ae"],
  ["œ", "oe"],
  ["ø", "o"],
  ["đ", "d"],
  ["ð", "d"],
  ["þ", "th"],
  ["ł", "l"],
  ["ı", "i"],
]);

/** The name in lower case ASCII letters, digits and single dashes; `fallback` when nothing of it is left. */
export function slug(name: string, fallback: string): string {
  const plain = name
    .normalize("NFKD")
    .replace(/\p{Mark}/gu, "")
    .toLowerCase()
    .replace(/[^\p{ASCII}]/gu, (letter) => latinLetters.get(letter) ?? " ")
    .replace(/['’`]/g, "")
    .replace(/[^a-z0-9]+/g, "-");
  return trimDashes(trimDashes(plain).slice(0, slugLengthMax)) || fallback;
}

/** Gives every name its own slug: the second name of one slug gets "-2", the third "-3", in the order of asking. */
export class SlugNumbering {
  readonly #fallback: string;
  readonly #byName = new Map<string, string>();
  readonly #taken = new Set<string>();

  constructor(fallback: string) {
    this.#fallback = fallback;
  }

  slugOf(name: string): string {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const wanted = slug(name, this.#fallback);
    let free = wanted;
    for (let n = 2; this.#taken.has(free); n++) {
      const suffix = `-${n}`;
      free = trimDashes(wanted.slice(0, slugLengthMax - suffix.length)) + suffix;
    }
    this.#taken.add(free);
    this.#byName.set(name, free);
    return free;
  }
}

function trimDashes(text: string): string {
  return text.replace(/^-+|-+$/g, "");
}
