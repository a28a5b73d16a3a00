/** Sentences for people, one below the other, broken into lines of the terminal. */
import { lineWidthMax } from "./text-table.ts";

const bullet = "  - ";

export function bulletLines(sentences: readonly string[]): string[] {
  return sentences.flatMap((sentence) =>
    wrap(sentence, lineWidthMax - bullet.length).map(
      (line, i) => `${i === 0 ? bullet : " ".repeat(bullet.length)}${line}`,
    ),
  );
}

/** A word that is longer than a line has one of its own, whole: it may be there to be copied. */
function wrap(sentence: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of sentence.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
