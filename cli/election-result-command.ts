/** `urna election result` */
import type { Command } from "commander";
import type { Client } from "#mesh/grpc-client.ts";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import type { CommandContext, CommonOptions } from "./command-context.ts";
import { withCommonOptions, withExamples } from "./command-context.ts";
import { demandVerified } from "./exit-code.ts";
import { formatNumberOf } from "./number-format.ts";
import { forAll, OutputFile } from "./output-file.ts";
import type { SignedResult } from "./result-document.ts";
import { combineResults, formatResultDocument, totalsJson } from "./result-document.ts";
import type { CallLimits } from "./server-connection.ts";
import { callLimits, withClient } from "./server-connection.ts";
import { givenVerifiers, serverKeys } from "./verifier-keys.ts";
import { collectTexts } from "./vote-arguments.ts";

type ResultOptions = CommonOptions & { readonly out: string; readonly verifierKey?: readonly string[] };

export function addElectionResultCommand(election: Command, context: CommandContext): void {
  const result = election
    .command("result <election>")
    .summary("write what the shards signed when it closed")
    .description(
      "Writes the result of a closed election: one JSON document with the totals and every shard's signed note. Each is " +
        "checked first; `urna verify` checks the file again, offline.",
    )
    .requiredOption("--out <file>", "where to write it")
    .option(
      "--verifier-key <key>",
      "key that you trust, once a shard (default: the keys that the router names)",
      collectTexts,
    )
    .action((electionId: string, options: ResultOptions) => writeResult(electionId, options, context));
  withExamples(withCommonOptions(result), "urna election result town --out town-result.json");
}

async function writeResult(electionId: string, options: ResultOptions, context: CommandContext): Promise<void> {
  const { terminal, folder } = context;
  const out = new OutputFile("--out", options.out, folder);
  const result = await withClient(LedgerService, options, context, (ledger) =>
    fetchResult(ledger, electionId, options.verifierKey, callLimits(context)),
  );
  out.write(formatResultDocument(result), forAll);
  const { ballots, shards } = result;
  if (options.json === true) {
    terminal.print(JSON.stringify({ file: out.path, election_id: electionId, totals: totalsJson(result) }));
    return;
  }
  const signers = formatNumberOf(BigInt(shards.length), "shard");
  terminal.print(`${electionId}: ${formatNumberOf(BigInt(ballots), "ballot")}, signed by ${signers}; in ${out.path}`);
}

/** Throws NotVerifiedError or LedgerFormatError when what the router answers is not what the shards signed. */
async function fetchResult(
  ledger: Client<typeof LedgerService>,
  electionId: string,
  trustedKeys: readonly string[] | undefined,
  limits: CallLimits,
): Promise<SignedResult> {
  const keys = trustedKeys ?? (await serverKeys(ledger, limits)).map(({ verifierKey }) => verifierKey);
  const verifiers = givenVerifiers(keys);
  const { results } = await ledger.getElectionResult({ electionId }, limits);
  const notes = results
    .map(({ shardId, signedNote }) => ({ shardId, signedNote: Buffer.from(signedNote).toString("utf8") }))
    .sort((a, b) => a.shardId - b.shardId);
  const result = combineResults(notes, verifiers);
  demandVerified(result.electionId === electionId, `the router answered the result of "${result.electionId}"`);
  return result;
}
