/**
 * What the health service says. Votes, elections and ledgers are served while one shard's writer is reached: a router that
 * can do part of the work is better than none. Only a router that has just started waits for all of them, for a moment. TallyService is
 * served while the tally says so.
 */
import type { Directory } from "#mesh/directory.ts";
import type { GrpcServer } from "#mesh/grpc-server.ts";
import { HealthProbe } from "#mesh/health-probe.ts";
import type { Identity } from "#mesh/identity.ts";
import type { Mesh } from "#mesh/mesh.ts";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { MeshService } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import type { ShardLinks } from "./shard-links.ts";

const served = ["", VoteService.typeName, ElectionService.typeName, LedgerService.typeName];
const probeLimitMs = 500;
const waitForAllMs = 5_000;

export class RouterHealth {
  readonly #grpc: GrpcServer;
  readonly #links: ShardLinks;
  readonly #directory: Directory;
  readonly #identity: Identity | undefined;
  readonly #told = new Map<string, boolean>();
  #probe: { readonly address: string; readonly client: HealthProbe } | undefined;
  readonly #startedAtMs = performance.now();
  #hadAll = false;
  #ended = false;

  constructor(grpc: GrpcServer, links: ShardLinks, { directory, identity }: Pick<Mesh, "directory" | "identity">) {
    this.#grpc = grpc;
    this.#links = links;
    this.#directory = directory;
    this.#identity = identity;
    this.#tell(MeshService.typeName, true);
    this.update();
  }

  /** To be called whenever a shard's stream opens or breaks, and now and then. */
  update(): void {
    const { links } = this.#links;
    this.#hadAll ||= links.every(({ connected }) => connected);
    const hasWaited = performance.now() - this.#startedAtMs >= waitForAllMs;
    const serves = (this.#hadAll || hasWaited) && links.some(({ connected }) => connected);
    for (const service of served) this.#tell(service, serves);
  }

  /** To be called now and then. */
  async probeTally(): Promise<void> {
    const address = this.#directory.current.tally;
    if (this.#probe?.address !== address) {
      this.#probe?.client.close();
      this.#probe = { address, client: new HealthProbe(address, this.#identity) };
    }
    this.#tell(TallyService.typeName, await this.#probe.client.isServing(TallyService.typeName, probeLimitMs));
  }

  /** Nothing is served any more. */
  end(): void {
    for (const service of this.#told.keys()) this.#tell(service, false);
    this.#ended = true;
    this.#probe?.client.close();
  }

  /** Those who watch the health are told of changes only. */
  #tell(service: string, serving: boolean): void {
    if (this.#ended || this.#told.get(service) === serving) return;
    this.#told.set(service, serving);
    this.#grpc.setServing(service, serving);
  }
}
