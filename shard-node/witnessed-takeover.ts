/** A takeover that counts only if the ledger found is the one that was published (I8), or its loss was accepted. */
import { sealEmpty } from "./batch.ts";
import { commitBatch } from "./batch-commit.ts";
import { generationStep } from "./control-steps.ts";
import type { PostgresAddress, SessionLimits } from "./postgres-session.ts";
import { type SeenHead, type TakenOver, takeOver, type WriterIdentity } from "./takeover.ts";
import { LedgerLossError, type Witness } from "./witness.ts";

export type TakeoverOptions = {
  readonly address: PostgresAddress;
  readonly writer: WriterIdentity;
  readonly witness: Witness;
};

export type WitnessedTakeover = TakenOver & {
  /** Whether the tally was heard; otherwise it has to be asked again. */
  readonly witnessed: boolean;
};

/** Throws what `takeOver` throws, and LedgerLossError. `lossAcceptedBy`: who said that a shorter log may go on. */
export async function takeOverWitnessed(
  options: TakeoverOptions,
  seen: SeenHead | undefined,
  limits: SessionLimits,
  lossAcceptedBy?: string,
): Promise<WitnessedTakeover> {
  const { address, writer, witness } = options;
  const taken = await takeOver(address, writer, seen, limits);
  const { client } = taken.session;
  try {
    return { ...taken, witnessed: await witness.demandUnbroken(client, () => taken.head) };
  } catch (error) {
    if (!(error instanceof LedgerLossError) || lossAcceptedBy === undefined) {
      taken.session.destroy();
      throw error;
    }
    return { ...(await beginGeneration(taken, error.generation, lossAcceptedBy)), witnessed: true };
  }
}

/**
 * Goes on with what is there under another name, so that no log has two trees of one size. A database from before an accepted
 * loss passes over the generations after it, of which there are checkpoints already.
 */
async function beginGeneration(taken: TakenOver, published: number, by: string): Promise<TakenOver> {
  const steps = [];
  let { generation } = taken.head;
  do steps.push(generationStep(++generation, by));
  while (generation <= published);
  const batch = sealEmpty(taken, Date.now(), steps);
  const result = await commitBatch(taken.session, batch);
  if (result.kind !== "committed") {
    taken.session.destroy();
    throw new Error(`the loss could not be accepted: the commit was ${result.kind}`);
  }
  const { number } = batch.identity;
  return { ...taken, head: { ...taken.head, generation, batch: number, stampMs: batch.stampMs } };
}
