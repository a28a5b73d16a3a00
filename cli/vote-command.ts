/** `urna vote` */
import type { Command } from "commander";
import type { CastVoteResponse } from "#proto/generated/urna/v1/vote_service_pb.js";
import { CastVoteResponseSchema, VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import type { CommandContext, CommonOptions } from "./command-context.ts";
import { withCommonOptions, withExamples } from "./command-context.ts";
import { messageJson } from "./json-output.ts";
import { receiptLines } from "./receipt-text.ts";
import type { SavedProof } from "./saved-proof.ts";
import { ProofFileOutput } from "./saved-proof.ts";
import { callLimits, withClient } from "./server-connection.ts";
import type { VoteArguments } from "./vote-arguments.ts";
import { collectTexts, idempotencyKeyOf, keyText, voteOf } from "./vote-arguments.ts";

type VoteOptions = CommonOptions &
  VoteArguments & { readonly key?: string; readonly save?: string; readonly verifierKey?: string };

export function addVoteCommand(program: Command, context: CommandContext): void {
  const command = program
    .command("vote")
    .summary("cast one vote")
    .description(
      "Casts one vote. The answer is a receipt: the vote is then on its shard's primary and standby, and counted.",
    )
    .requiredOption("--election <id>", "the election")
    .option("--voter <id>", "who votes")
    .option("--ballot <id>", "which ballot, in an election that is keyed by ballots")
    .requiredOption("--region <id>", "a leaf of the election's regions, for example belknap/alton")
    .option("--select <contest=option,…>", "a contest's selections; once a contest, none is an undervote", collectTexts)
    .option("--key <hex>", "idempotency key, 16 to 32 bytes (default: a fresh one, which is printed)")
    .option("--save <file>", "wait for the proof that the vote is in the ledger, check it, and write it there")
    .option("--verifier-key <key>", "check it with this key (default: the one that the router names)")
    .action((options: VoteOptions) => castVote(options, context));
  withExamples(
    withCommonOptions(command),
    "urna vote --election town --voter v-17 --region north/ward-1 --select mayor=ann",
    "urna vote --election town --voter v-17 --region north/ward-1 --select mayor=ann \\\n    --save receipt.txt",
    "urna vote --election town --voter v-18 --region north/ward-1 \\\n    --select council=ann,bob --select levy=yes --json",
    "urna vote --election town --voter v-19 --region north/ward-1 \\\n    --select mayor=bob --key 00112233445566778899aabbccddeeff",
  );
}

async function castVote(options: VoteOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const key = idempotencyKeyOf(options.key);
  const vote = voteOf(options, key);
  const output = ProofFileOutput.of("--save", options.save, options.verifierKey, context);
  let cast: CastVoteResponse;
  try {
    cast = await withClient(VoteService, options, context, (client) => client.castVote({ vote }, callLimits(context)));
  } catch (cause) {
    // Whatever happened to the vote, the same key makes it safe to send again (I3).
    terminal.note(`key: ${keyText(key)}`);
    throw cause;
  }
  // A vote that is cast is told at once: what follows may fail.
  if (options.json !== true) for (const line of castLines(cast, key)) terminal.print(line);
  let saved: SavedProof | undefined;
  try {
    saved = await output?.save({ receipt: cast.receipt, electionId: options.election, idempotencyKey: key }, options);
  } catch (cause) {
    if (options.json === true) terminal.print(castJson(cast, key));
    terminal.note(
      "The vote is recorded; the proof is not saved. To get it: urna receipt, with the key above, and --out.",
    );
    throw cause;
  }
  if (options.json === true) terminal.print(castJson(cast, key, saved));
  else for (const line of saved?.lines ?? []) terminal.print(line);
}

function castLines({ receipt, repeat }: CastVoteResponse, key: Uint8Array): string[] {
  const verdict = repeat ? "recorded before; this is the original receipt" : "recorded";
  const keyLine = `key       ${keyText(key)}`;
  return [verdict, ...receiptLines(receipt), keyLine, "Keep the key: with it, the same vote gets this receipt again."];
}

function castJson(cast: CastVoteResponse, key: Uint8Array, saved?: SavedProof): string {
  const json = messageJson(CastVoteResponseSchema, cast) as object;
  return JSON.stringify({
    ...json,
    idempotencyKey: keyText(key),
    ...(saved === undefined ? {} : { proof: saved.json }),
  });
}
