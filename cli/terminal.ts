/** Where a command writes, results to standard output and all else to standard error, and whom it may ask. */
import { once } from "node:events";
import { createInterface } from "node:readline/promises";
import type { ReadStream, WriteStream } from "node:tty";

export type Terminal = {
  /** A line of the result. */
  print(line: string): void;
  /** A line about the result: progress, advice, failures. */
  note(line: string): void;
  /** Replaces what the last call drew; where nobody looks (a pipe, a file), does nothing. */
  redraw(lines: readonly string[]): void;
  /** What a person answers; undefined where nobody is there to be asked. Rejects when the signal aborts. */
  ask(question: string, signal: AbortSignal): Promise<string | undefined>;
  /** Whether somebody looks at standard output. */
  readonly watched: boolean;
};

export function processTerminal(stdout: WriteStream, stderr: WriteStream, stdin: ReadStream): Terminal {
  let drawn = 0;
  const watched = stdout.isTTY === true;
  return {
    watched,
    print: (line) => void stdout.write(`${line}\n`),
    note: (line) => void stderr.write(`${line}\n`),
    async ask(question, signal) {
      if (stdin.isTTY !== true) return undefined;
      // Not its line editor: that would take Ctrl-C for itself.
      const lines = createInterface({ input: stdin, output: stderr, terminal: false });
      const ended = once(lines, "close").then(() => "");
      try {
        return await Promise.race([lines.question(question, { signal }), ended]);
      } finally {
        lines.close();
      }
    },
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
