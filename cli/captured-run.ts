/** Runs the command inside a test and keeps what it writes. */
import type { CliConfig } from "./config.ts";
import { runUrna } from "./urna-command.ts";

export type CapturedRun = { readonly code: number; readonly stdout: string; readonly stderr: string };

export type CaptureOptions = {
  readonly config?: Partial<CliConfig>;
  readonly signal?: AbortSignal;
  /** Sees each line of standard output as it comes. */
  readonly onLine?: (line: string) => void;
  /** What is answered to every question; without it nobody is there. */
  readonly answer?: string;
};

export async function runCaptured(
  args: readonly string[],
  folder: string,
  { config = {}, signal = new AbortController().signal, onLine, answer }: CaptureOptions = {},
): Promise<CapturedRun> {
  const out: string[] = [];
  const err: string[] = [];
  const terminal = {
    watched: false,
    print(line: string) {
      out.push(line);
      onLine?.(line);
    },
    note: (line: string) => void err.push(line),
    redraw: () => {},
    ask: async () => answer,
  };
  const code = await runUrna(args, {
    terminal,
    config: { adminToken: undefined, tls: undefined, ...config },
    folder,
    signal,
  });
  return { code, stdout: out.join("\n"), stderr: err.join("\n") };
}
