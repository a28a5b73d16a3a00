/**
 * Who may call which method: the one table. It is asked before each call on a gRPC server that has an identity; health and
 * reflection are open to whoever has a certificate of the deployment. What a method demands beyond that (the admin token, an
 * election that is open) it asks itself.
 */
import type { DescService } from "@bufbuild/protobuf";
import type { IdentityKind } from "#mesh/spiffe-id.ts";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { MeshService } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";

type Permissions<S extends DescService> = Readonly<Record<keyof S["method"], readonly IdentityKind[]>>;
type ServedBy = readonly IdentityKind[];

type PermittedService = {
  readonly service: DescService;
  /** Which parts of Urna serve it: a client takes no other for one. */
  readonly servedBy: ServedBy;
  readonly methods: Readonly<Record<string, readonly IdentityKind[]>>;
};

/** An admin may do whatever people may do. */
const voters = ["client", "admin"] as const;
const readers = ["client", "auditor", "operator", "admin"] as const;
const overseers = ["auditor", "operator", "admin"] as const;

export const permittedServices: readonly PermittedService[] = [
  permit(VoteService, ["router"], {
    castVote: voters,
    castVoteBatch: voters,
    castVotes: voters,
    getReceipt: voters,
  }),
  permit(ElectionService, ["router"], {
    createElection: ["admin"],
    openElection: ["admin"],
    closeElection: ["admin"],
    getElection: readers,
    listElections: readers,
  }),
  permit(LedgerService, ["router"], {
    getCheckpoint: readers,
    getInclusionProof: readers,
    getConsistencyProof: readers,
    getVerifierKeys: readers,
    getElectionResult: readers,
    acceptLoss: ["admin"],
  }),
  permit(MeshService, ["router"], { getMeshStatus: readers }),
  // Routers pass on what they are asked.
  permit(TallyService, ["router", "tally"], {
    getTally: ["router", ...readers],
    getTallyTable: ["router", ...readers],
    watchTally: ["router", ...readers],
    recount: ["router", ...overseers],
  }),
  permit(WitnessService, ["tally"], {
    getHighestCheckpoint: ["shard", ...overseers],
    reportVerified: ["auditor", "admin"],
  }),
  permit(ShardService, ["shard"], {
    recordVotes: ["router"],
    watchCounts: ["tally", "auditor"],
    recountVotes: ["tally"],
    findVote: ["router"],
    putElection: ["router"],
    listHomeElections: ["router", "shard"],
    reconcileElection: ["router"],
    getShardElection: ["router", "tally"],
    getShardStatus: ["router", "shard", "tally", ...overseers],
    getShardCheckpoint: ["router", "shard", "tally", ...overseers],
    proveInclusion: ["router"],
    proveConsistency: ["router", "tally"],
    getShardResult: ["router"],
    // A router has asked for an admin identity, or for the admin token of a browser, before it passes this on.
    acceptShardLoss: ["router", "admin"],
  }),
];

const callers = new Map<string, readonly IdentityKind[]>(
  permittedServices.flatMap(({ service, methods }) =>
    service.methods.map((method) => [`${service.typeName}/${method.name}`, methods[method.localName] ?? []] as const),
  ),
);
const servers = new Map(permittedServices.map(({ service, servedBy }) => [service.typeName, servedBy]));

/** Of "urna.v1.VoteService/CastVote". Nobody may call what is not in the table. */
export function mayCall(rpc: string): readonly IdentityKind[] {
  return callers.get(rpc) ?? [];
}

/** Whom a client of the service expects at the other end. */
export function serversOf(service: DescService): ServedBy {
  return servers.get(service.typeName) ?? [];
}

function permit<S extends DescService>(service: S, servedBy: ServedBy, methods: Permissions<S>): PermittedService {
  return { service, servedBy, methods };
}
