/** `urna verify` */
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import type { CommandContext } from "./command-context.ts";
import { withExamples } from "./command-context.ts";
import { UsageError } from "./exit-code.ts";
import { checkReceipt } from "./receipt-check.ts";
import { checkedReceiptJson, checkedReceiptLines } from "./receipt-check-text.ts";
import type { SignedResult } from "./result-document.ts";
import { verifyResultDocument } from "./result-document.ts";
import { verifiedResultJson, verifiedResultLines } from "./result-text.ts";
import { givenVerifiers } from "./verifier-keys.ts";
import { collectTexts, idempotencyKeyOf } from "./vote-arguments.ts";

type VerifyOptions = {
  readonly verifierKey: readonly string[];
  readonly key?: string;
  readonly result?: string;
  readonly json?: boolean;
};

/** Longer than any receipt, and than the result of the largest election. */
const fileBytesMax = 256 * 1024 * 1024;
const openingBrace = 0x7b;

export function addVerifyCommand(program: Command, context: CommandContext): void {
  const command = program
    .command("verify <file>")
    .summary("check a receipt or a result, offline")
    .description(
      "Checks FILE, a receipt (of vote --save, or receipt --out) or a result (of election result), without asking any " +
        "server, and says what it proves and what it does not. Exit code 1 when it does not verify.",
    )
    .requiredOption(
      "--verifier-key <key>",
      "key of the log, from a place that you trust; for a result, once a shard",
      collectTexts,
    )
    .option("--key <hex>", "the vote's idempotency key: is the receipt that of this vote?")
    .option("--result <file>", "a result: is the vote of the receipt one of those that it counts?")
    .option("--json", "print JSON on standard output")
    .action((file: string, options: VerifyOptions) => verifyFile(file, options, context));
  withExamples(
    command,
    "urna verify receipt.txt --verifier-key urna/shard/0+1a2b3c4d+AX…",
    "urna verify receipt.txt --verifier-key urna/shard/0+1a2b3c4d+AX… \\\n    --key 00112233445566778899aabbccddeeff",
    "urna verify result.json --verifier-key urna/shard/0+1a2b3c4d+AX… \\\n    --verifier-key urna/shard/1+5e6f7a8b+AY…",
  );
}

function verifyFile(file: string, options: VerifyOptions, context: CommandContext): void {
  const { json, verifierKey, key } = options;
  const { terminal, folder } = context;
  const bytes = readBytes(file, folder);
  const show = (lines: readonly string[], document: object) => {
    if (json === true) terminal.print(JSON.stringify(document));
    else for (const line of lines) terminal.print(line);
  };
  if (bytes[0] === openingBrace) {
    if (key !== undefined || options.result !== undefined) {
      throw new UsageError(`--key and --result are for receipts, and ${file} is a result`);
    }
    const result = verifyResultDocument(bytes, givenVerifiers(verifierKey));
    show(verifiedResultLines(result), verifiedResultJson(result));
    return;
  }
  const idempotencyKey = key === undefined ? undefined : idempotencyKeyOf(key);
  const receipt = checkReceipt(bytes, verifierKey, { idempotencyKey, result: resultOf(options, folder) });
  const keyWasGiven = key !== undefined;
  show(checkedReceiptLines(receipt, keyWasGiven), checkedReceiptJson(receipt, keyWasGiven));
}

function resultOf({ result, verifierKey }: VerifyOptions, folder: string): SignedResult | undefined {
  if (result === undefined) return undefined;
  return verifyResultDocument(readBytes(result, folder), givenVerifiers(verifierKey));
}

function readBytes(file: string, folder: string): Buffer {
  const path = resolve(folder, file);
  try {
    const { size } = statSync(path);
    if (size <= fileBytesMax) return readFileSync(path);
  } catch (cause) {
    throw new UsageError(`${file} cannot be read: ${(cause as Error).message}`);
  }
  throw new UsageError(`${file} is longer than any receipt or result`);
}
