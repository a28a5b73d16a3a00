/** A shard that answers a witness out of a scripted ledger, when and how the test wants. */
import { create } from "@bufbuild/protobuf";
import type { ProveConsistencyRequest } from "#proto/generated/urna/v1/shard_service_pb.js";
import {
  GetShardCheckpointResponseSchema,
  ProveConsistencyResponseSchema,
} from "#proto/generated/urna/v1/shard_service_pb.js";
import type { ScriptedLedger } from "./scripted-ledger.ts";
import type { LedgerReader } from "./shard-witness.ts";

export class ScriptedReader implements LedgerReader {
  ledger: ScriptedLedger;
  /** While set, every call fails with it. */
  failing: Error | undefined;
  keysAsked = 0;
  /** Old and new sizes. */
  readonly proofsAsked: [number, number][] = [];
  #gate: Promise<void> | undefined;

  constructor(ledger: ScriptedLedger) {
    this.ledger = ledger;
  }

  /** Answers nothing until what is returned is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    return resolve;
  }

  readonly getShardCheckpoint = async () => {
    this.keysAsked += 1;
    await this.#answer();
    return create(GetShardCheckpointResponseSchema, { verifierKey: this.ledger.verifierKey });
  };

  readonly proveConsistency = async (sizes: Partial<Pick<ProveConsistencyRequest, "oldSize" | "newSize">>) => {
    const [oldSize, newSize] = [Number(sizes.oldSize), Number(sizes.newSize)];
    this.proofsAsked.push([oldSize, newSize]);
    await this.#answer();
    return create(ProveConsistencyResponseSchema, { hashes: this.ledger.consistency(oldSize, newSize) });
  };

  async #answer(): Promise<void> {
    await this.#gate;
    if (this.failing !== undefined) throw this.failing;
  }
}
