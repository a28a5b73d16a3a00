/**
 * What a shard signs when an election has closed on it: a checkpoint at its close batch, whose further lines are the counts
 * of this shard alone.
 *
 *   election <id>
 *   definition <SHA-256 of the definition, hex>
 *   close-batch <number>
 *   ballots <n>
 *   option <contest id> <option id> <n>
 *   undervotes <contest id> <n>
 *
 * Options and undervotes come in the order of the definition; each is there once, also at 0.
 */
import { parseDecimal } from "#proto/ledger/canonical-text.ts";
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from "#proto/ledger/checkpoint.ts";
import { demandFormat } from "#proto/ledger/ledger-format-error.ts";

export type ContestResult = {
  readonly contestId: string;
  readonly options: readonly { readonly optionId: string; readonly count: number }[];
  readonly undervotes: number;
};

export type ElectionResult = {
  readonly checkpoint: Pick<Checkpoint, "origin" | "size" | "root">;
  readonly electionId: string;
  /** 32 bytes */
  readonly definitionHash: Buffer;
  readonly closeBatch: number;
  readonly ballots: number;
  readonly contests: readonly ContestResult[];
};

/** The text to be signed. */
export function formatElectionResult(result: ElectionResult): string {
  const { checkpoint, electionId, definitionHash, closeBatch, ballots, contests } = result;
  const extensions = [
    `election ${electionId}`,
    `definition ${definitionHash.toString("hex")}`,
    `close-batch ${closeBatch}`,
    `ballots ${ballots}`,
    ...contests.flatMap(({ contestId, options, undervotes }) => [
      ...options.map(({ optionId, count }) => `option ${contestId} ${optionId} ${count}`),
      `undervotes ${contestId} ${undervotes}`,
    ]),
  ];
  return formatCheckpoint({ ...checkpoint, extensions });
}

/** Throws LedgerFormatError for all that formatElectionResult does not make. */
export function parseElectionResult(text: string): ElectionResult {
  const { origin, size, root, extensions } = parseCheckpoint(text);
  const [electionLine, definitionLine, closeLine, ballotsLine, ...countLines] = extensions;
  const definition = fieldValue("definition", definitionLine);
  demandFormat(/^[0-9a-f]{64}$/.test(definition), "the definition of the result is not 64 hex digits");
  return {
    checkpoint: { origin, size, root },
    electionId: fieldValue("election", electionLine),
    definitionHash: Buffer.from(definition, "hex"),
    closeBatch: parseDecimal("the close batch", fieldValue("close-batch", closeLine)),
    ballots: parseDecimal("the number of ballots", fieldValue("ballots", ballotsLine)),
    contests: contestsOf(countLines),
  };
}

function fieldValue(name: string, line: string | undefined): string {
  const value = line?.startsWith(`${name} `) ? line.slice(name.length + 1) : "";
  demandFormat(/^[!-~]+$/.test(value), `the result has no line "${name} …" where it should be`);
  return value;
}

function contestsOf(lines: readonly string[]): ContestResult[] {
  const contests: ContestResult[] = [];
  let options: { optionId: string; count: number }[] = [];
  let open: string | undefined;
  for (const line of lines) {
    const [kind, contestId = "", ...rest] = line.split(" ");
    const isOption = kind === "option" && rest.length === 2;
    demandFormat(isOption || (kind === "undervotes" && rest.length === 1), `"${line}" is no line of a result`);
    demandFormat(
      open === undefined || open === contestId,
      `the counts of contest "${open}" end without its undervotes`,
    );
    const count = parseDecimal(`the count in "${line}"`, rest[rest.length - 1] ?? "");
    if (isOption) {
      options.push({ optionId: rest[0] ?? "", count });
      open = contestId;
    } else {
      contests.push({ contestId, options, undervotes: count });
      options = [];
      open = undefined;
    }
  }
  demandFormat(open === undefined, `the counts of contest "${open}" end without its undervotes`);
  return contests;
}
