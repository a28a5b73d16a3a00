/** Tables for people: columns as wide as their widest cell, cut where a line would be wider than the terminal. */
import { stripVTControlCharacters } from "node:util";

export type Column = {
  readonly head: string;
  readonly align?: "left" | "right";
  /** The column that gives way when the table is too wide; one a table. */
  readonly flexible?: boolean;
};

export const lineWidthMax = 80;
const gap = "  ";
const flexibleWidthMin = 8;

/** Cells in the order of the columns. Text from a server is stripped of control characters. */
export function textTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const heads = columns.map(({ head }) => head);
  const lines = [heads, ...rows.map((row) => row.map(plainText))];
  const widths = columns.map((_, i) => Math.max(...lines.map((cells) => cells[i]?.length ?? 0)));
  const excess = widths.reduce((sum, width) => sum + width + gap.length, -gap.length) - lineWidthMax;
  const giving = columns.findIndex(({ flexible }) => flexible);
  if (excess > 0 && giving >= 0) widths[giving] = Math.max(flexibleWidthMin, (widths[giving] ?? 0) - excess);
  return lines.map((cells) =>
    columns
      .map((column, i) => padCell(cells[i] ?? "", widths[i] ?? 0, column.align ?? "left"))
      .join(gap)
      .trimEnd(),
  );
}

/** What a server says, without anything that a terminal would obey. */
export function plainText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is to be removed.
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, " ");
}

function padCell(text: string, width: number, align: "left" | "right"): string {
  if (text.length > width) return `${text.slice(0, Math.max(0, width - 1))}…`;
  return align === "left" ? text.padEnd(width) : text.padStart(width);
}
