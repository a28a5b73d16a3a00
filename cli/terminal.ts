/** Where a command writes: results to standard output, all else to standard error. */
import type { WriteStream } from "node:tty";

export type Terminal = {
  /** A line of the result. */
  print(line: string): void;
  /** A line about the result: progress, advice, failures. */
  note(line: string): void;
  /** Replaces what the last call drew; where nobody looks (a pipe, a file), does nothing. */
  redraw(lines: readonly string[]): void;
  /** Whether somebody looks at standard output. */
  readonly watched: boolean;
};

export function processTerminal(stdout: WriteStream, stderr: WriteStream): Terminal {
  let drawn = 0;
  const watched = stdout.isTTY === true;
  return {
    watched,
    print: (line) => void stdout.write(`${line}\n`),
    note: (line) => void stderr.write(`${line}\n`),
    redraw(lines) {
      if (!watched) return;
      const shown = lines.slice(0, Math.max(1, stdout.rows - 1));
      const up = drawn === 0 ? "" : `\u001b[${drawn}A`;
      // Each line is cleared to its end, and what was below the last one too: nothing of a longer picture stays.
      stdout.write(`${up}${shown.map((line) => `${line}\u001b[K\n`).join("")}\u001b[J`);
      drawn = shown.length;
    },
  };
}
