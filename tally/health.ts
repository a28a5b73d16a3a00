/**
 * What the health service says. The process serves until it drains, and WitnessService with it; TallyService serves unless
 * a shard holds less than was folded, for then the tally shows more than the shards can prove.
 */
import type { GrpcServer } from "#mesh/grpc-server.ts";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";
import type { ShardReading } from "./shard-reading.ts";

export class TallyHealth {
  readonly #grpc: GrpcServer;
  readonly #readings: ReadonlyMap<number, ShardReading>;
  #told: boolean | undefined;

  constructor(grpc: GrpcServer, readings: ReadonlyMap<number, ShardReading>) {
    this.#grpc = grpc;
    this.#readings = readings;
    grpc.setServing("", true);
    grpc.setServing(WitnessService.typeName, true);
    this.update();
  }

  /** To be called often. Those who watch the health are told of changes only. */
  update(): void {
    const sound = [...this.#readings.values()].every((reading) => !reading.hasLostBatches);
    if (sound === this.#told) return;
    this.#told = sound;
    this.#grpc.setServing(TallyService.typeName, sound);
  }

  /** No more updates may follow. */
  end(): void {
    this.#grpc.setServing("", false);
    this.#grpc.setServing(WitnessService.typeName, false);
    this.#grpc.setServing(TallyService.typeName, false);
  }
}
