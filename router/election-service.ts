/**
 * ElectionService: creating, opening and closing elections. The home shard commits the definition and the wanted state
 * first; then every shard is brought there. A call that is cut short in between leaves the rest to the shards, which look at
 * their homes every second.
 */
import type { KeyObject } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import type { CallContext, ServiceImplementation } from "#mesh/service-call.ts";
import type { TraceSpan } from "#mesh/tracing.ts";
import { checkDefinition } from "#proto/definition-check.ts";
import { definitionHash } from "#proto/election-shape.ts";
import type { Election, ElectionDefinition, ElectionOnShard } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionSchema, ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import type { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import type { ElectionRecord } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { type AdminToken, adminIdentity } from "./admin-token.ts";
import { backoffMs } from "./backoff.ts";
import { answerWithinMs } from "./call-deadline.ts";
import type { ElectionCache } from "./election-cache.ts";
import { makeWrappedKey } from "./election-key.ts";
import type { Gate } from "./gate.ts";
import type { ShardLinks } from "./shard-links.ts";
import type { ShardNodes } from "./shard-nodes.ts";

export type ElectionServiceParts = {
  readonly links: ShardLinks;
  readonly cache: ElectionCache;
  readonly adminToken: AdminToken;
  readonly routerKey: KeyObject;
  readonly gate: Gate;
};

/** `endsAtMs`: when the call must be answered, by performance.now(). */
type Change = { readonly endsAtMs: number; readonly trace: TraceSpan | undefined };

/** A shard that does not say where it stands within this time is left out of GetElection's answer. */
const standLimitMs = 1_000;

export function electionService(parts: ElectionServiceParts): ServiceImplementation<typeof ElectionService> {
  return {
    createElection: async ({ definition }, call) => ({ election: await createElection(parts, definition, call) }),
    openElection: async ({ electionId }, call) => ({
      election: await changeState(parts, electionId, ElectionState.OPEN, call),
    }),
    closeElection: async ({ electionId }, call) => ({
      election: await changeState(parts, electionId, ElectionState.CLOSED, call),
    }),
    getElection: async ({ electionId }, call) => ({ election: await getElection(parts, electionId, call) }),
    listElections: async (_request, call) => ({ elections: await listElections(parts, call) }),
  };
}

async function createElection(
  parts: ElectionServiceParts,
  definition: ElectionDefinition | undefined,
  call: CallContext,
): Promise<Election> {
  const change = beginChange(parts, call);
  if (definition === undefined) throw new RejectionError("INVALID_REQUEST", "definition is missing");
  checkDefinition(definition);
  const { electionId } = definition;
  const request = {
    electionId,
    definition,
    wrappedKey: makeWrappedKey(parts.routerKey, electionId),
    wantedState: ElectionState.CREATED,
    requestedBy: adminIdentity,
  };
  const record = await parts.links
    .homeOf(electionId)
    .ask(leftMs(change), (shard, deadlineMs) =>
      shard.putElection(request, { deadlineMs, trace: change.trace }).then((r) => r.record),
    );
  // The first definition of an id stands for ever.
  if (record !== undefined && !definitionHash(definition).equals(record.definitionHash)) {
    throw new RejectionError("ELECTION_EXISTS");
  }
  parts.cache.created(electionId);
  return await finishEverywhere(parts, electionId, record, ElectionState.CREATED, change);
}

async function changeState(
  parts: ElectionServiceParts,
  electionId: string,
  wantedState: ElectionState,
  call: CallContext,
): Promise<Election> {
  const change = beginChange(parts, call);
  const record = await parts.links
    .homeOf(electionId)
    .ask(leftMs(change), (shard, deadlineMs) =>
      shard
        .putElection({ electionId, wantedState, requestedBy: adminIdentity }, { deadlineMs, trace: change.trace })
        .then((r) => r.record),
    );
  return await finishEverywhere(parts, electionId, record, wantedState, change);
}

function beginChange({ adminToken, gate }: ElectionServiceParts, call: CallContext): Change {
  adminToken.demand(call);
  gate.demandOpen();
  return { endsAtMs: performance.now() + answerWithinMs(call.deadlineMs), trace: call.trace };
}

/** Waits until every shard stands where the home shard wants it. */
async function finishEverywhere(
  { links }: ElectionServiceParts,
  electionId: string,
  record: ElectionRecord | undefined,
  wantedState: ElectionState,
  change: Change,
): Promise<Election> {
  const stands = await Promise.allSettled(
    links.allNodes.map((nodes) => reconcile(nodes, electionId, wantedState, change)),
  );
  const shards: ElectionOnShard[] = [];
  for (const stand of stands) {
    if (stand.status === "fulfilled") shards.push(stand.value);
    else throw stand.reason;
  }
  return electionOf(record, shards);
}

async function reconcile(
  nodes: ShardNodes,
  electionId: string,
  wantedState: ElectionState,
  change: Change,
): Promise<ElectionOnShard> {
  for (let tries = 0; ; tries++) {
    const election = await nodes
      .ask(leftMs(change), (shard, deadlineMs) =>
        shard.reconcileElection({ electionId }, { deadlineMs, trace: change.trace }),
      )
      .then((response) => response.election)
      .catch((cause: unknown) => unfinished(cause, nodes.shardId));
    if (election !== undefined && election.state >= wantedState) return election;
    const pause = backoffMs(tries);
    if (leftMs(change) <= pause) throw notFinished(nodes.shardId);
    await delay(pause);
  }
}

/** A shard that has not heard of the election yet is asked again; one that cannot be reached will finish by itself. */
function unfinished(cause: unknown, shardId: number): undefined {
  if (!(cause instanceof RejectionError)) throw cause;
  if (cause.reason === "UNKNOWN_ELECTION") return undefined;
  if (cause.reason === "SHARD_UNAVAILABLE") throw notFinished(shardId);
  throw cause;
}

function notFinished(shardId: number): RejectionError {
  const what = "what is wanted is recorded, and the shards will finish it by themselves: ask again";
  return new RejectionError("SHARD_UNAVAILABLE", `shard ${shardId} is not there yet; ${what}`);
}

async function getElection(parts: ElectionServiceParts, electionId: string, call: CallContext): Promise<Election> {
  const withinMs = answerWithinMs(call.deadlineMs);
  const readingHome = readHome(parts.links, electionId, withinMs);
  const standing = parts.links.allNodes.map((nodes) =>
    nodes
      .ask(Math.min(withinMs, standLimitMs), (shard, deadlineMs) =>
        shard.getShardElection({ electionId }, { deadlineMs }),
      )
      .then(({ election }) => election)
      .catch(() => undefined),
  );
  const record = await readingHome;
  if (record === undefined) throw new RejectionError("UNKNOWN_ELECTION");
  const shards = (await Promise.all(standing)).filter((stand) => stand !== undefined);
  return electionOf(record, shards);
}

/** The record of an election at its home shard, undefined when there is none. Throws SHARD_UNAVAILABLE. */
export async function readHome(
  links: ShardLinks,
  electionId: string,
  withinMs: number,
): Promise<ElectionRecord | undefined> {
  const { records } = await links
    .homeOf(electionId)
    .ask(withinMs, (shard, deadlineMs) => shard.listHomeElections({ electionId }, { deadlineMs }));
  return records[0];
}

async function listElections({ links }: ElectionServiceParts, call: CallContext): Promise<Election[]> {
  const withinMs = answerWithinMs(call.deadlineMs);
  const lists = await Promise.all(
    links.allNodes.map((nodes) =>
      nodes.ask(withinMs, (shard, deadlineMs) => shard.listHomeElections({}, { deadlineMs })),
    ),
  );
  const elections = lists.flatMap(({ records }) => records.map((record) => electionOf(withoutLists(record), [])));
  return elections.sort((a, b) => compare(a.definition?.electionId ?? "", b.definition?.electionId ?? ""));
}

function withoutLists(record: ElectionRecord): ElectionRecord {
  const { definition } = record;
  return definition === undefined ? record : { ...record, definition: { ...definition, contests: [], regions: [] } };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function electionOf(record: ElectionRecord | undefined, shards: readonly ElectionOnShard[]): Election {
  if (record?.definition === undefined) throw new Error("a home shard answered no definition");
  const { definition, definitionHash: hash, wantedState, createdAt } = record;
  return create(ElectionSchema, {
    definition,
    definitionHash: hash,
    state: wantedState,
    ...(createdAt === undefined ? {} : { createdAt }),
    shards: [...shards].sort((a, b) => a.shardId - b.shardId),
  });
}

function leftMs({ endsAtMs }: Change): number {
  return endsAtMs - performance.now();
}
