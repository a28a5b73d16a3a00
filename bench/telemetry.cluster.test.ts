/** What the processes of a whole cluster tell about themselves: traces, at a real collector, and their pages of metrics. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { withSession } from "#bench/checker-shard.ts";
import { ClusterScene } from "#bench/cluster-scene.ts";
import { metricFaults, readMetricsPage } from "#bench/metric-pages.ts";
import { wireVote } from "#bench/story-caster.ts";
import { storyContestId, storyDefinition, storyVote } from "#bench/story-election.ts";
import type { CollectedSpan } from "#bench/trace-collector.ts";
import { TraceCollector } from "#bench/trace-collector.ts";
import { findRedis } from "#deploy/redis-binary.ts";
import { RedisRig } from "#deploy/redis-rig.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";

const electionId = "traced";
type WireVote = ReturnType<typeof wireVote>;
const arrivalLimitMs = 20_000;
const noRedis = await toolSkipReason("metrics of what is published through Redis", findRedis);

let collector: TraceCollector;
let redis: RedisRig | undefined;
let scene: ClusterScene;

beforeAll(async () => {
  collector = await TraceCollector.start();
  redis = noRedis === undefined ? await RedisRig.start() : undefined;
  // Nobody but a caller who asks for it is recorded.
  const traces = { URNA_TRACES_ENDPOINT: collector.endpoint, URNA_TRACES_RATIO: "0" };
  const place = redis === undefined ? {} : { URNA_REDIS_URL: redis.url, URNA_REDIS_PASSWORD_FILE: redis.passwordFile };
  const environment = () => ({ ...traces, ...place });
  scene = await ClusterScene.start({ shards: 1, routers: 1, spares: 0, environment });
  await scene.open(storyDefinition(electionId));
});

afterAll(async () => {
  await scene?.[Symbol.asyncDispose]();
  await redis?.[Symbol.asyncDispose]();
  await collector?.[Symbol.asyncDispose]();
});

/** A caller's own trace, recorded. */
class CallerTrace {
  readonly traceId = randomBytes(16).toString("hex");
  readonly spanId = randomBytes(8).toString("hex");

  get headers(): Record<string, string> {
    return { traceparent: `00-${this.traceId}-${this.spanId}-01` };
  }

  /** Waits until spans of all these names, outermost first, have arrived, each the child of the one before. */
  async chain(...names: readonly string[]): Promise<CollectedSpan[]> {
    return await waitFor(`the spans ${names.join(", ")}`, arrivalLimitMs, () => {
      const spans = collector.spans(this.traceId);
      const chain: CollectedSpan[] = [];
      for (const name of names) {
        const parent = chain.at(-1)?.spanId ?? this.spanId;
        const next = spans.find((span) => span.parentSpanId === parent && span.name === name);
        if (next === undefined) return undefined;
        chain.push(next);
      }
      return chain;
    });
  }
}

/** Of every vote that is recorded here. */
async function storedNullifiers(): Promise<Buffer[]> {
  return await withSession(scene.cluster.ownerUrl(0), async (client) => {
    const { rows } = await client.query<{ nullifier: Buffer }>("SELECT nullifier FROM urna.votes");
    return rows.map(({ nullifier }) => nullifier);
  });
}

async function castInStream(vote: WireVote | undefined, headers: Record<string, string>): Promise<void> {
  if (vote === undefined) throw new Error("there is no vote to cast");
  const client = createClient(VoteService, scene.router);
  const call = client.castVotes({ headers });
  call.send({ sequence: 1n, vote });
  call.end();
  for await (const { outcome } of call.responses) expect(outcome?.result.case).toBe("receipt");
  client.close();
}

describe("traces", () => {
  test.each(["CastVote", "CastVoteBatch", "CastVotes"])(
    "%s: one trace from its caller through the router to the wait, the seal and the commit at the shard",
    async (call) => {
      const trace = new CallerTrace();
      const votes = [storyVote(electionId, call.length)].map(wireVote);
      const client = createClient(VoteService, scene.router);
      const { headers } = trace;
      if (call === "CastVote") await client.castVote({ vote: votes[0] }, { headers });
      else if (call === "CastVoteBatch") await client.castVoteBatch({ votes }, { headers });
      else await castInStream(votes[0], headers);
      client.close();
      const way = [`urna.v1.VoteService/${call}`, "frame", "frame"];
      await trace.chain(...way, "wait");
      await trace.chain(...way, "seal");
      const [router, sent, received, commit] = await trace.chain(...way, "commit");
      expect([router, sent, received, commit].map((span) => span?.service)).toEqual([
        "urna-router",
        "urna-router",
        "urna-shard",
        "urna-shard",
      ]);
      expect(router?.attributes).toMatchObject({ "rpc.grpc.status_code": 0 });
      expect(sent?.attributes).toMatchObject({ "urna.shard": 0, "urna.frame.votes": 1 });
      expect(received?.attributes).toMatchObject({ "urna.frame.votes": 1, "urna.frame.recorded": 1 });
      expect(commit?.attributes).toMatchObject({ "urna.batch.votes": 1 });
      expect(commit?.attributes["urna.batch"]).toBeGreaterThan(0);
    },
  );

  test("a recount: one trace from its caller through the router to the tally", async () => {
    const trace = new CallerTrace();
    const client = createClient(TallyService, scene.router);
    for await (const _ of client.recount({ electionId }, trace));
    client.close();
    const rpc = "urna.v1.TallyService/Recount";
    const chain = await trace.chain(rpc, rpc, rpc);
    expect(chain.map(({ service }) => service)).toEqual(["urna-router", "urna-router", "urna-tally"]);
  });

  test("what nobody asked for is not recorded, and no span names a voter, a key or a choice", async () => {
    const quiet = new CallerTrace();
    const client = createClient(VoteService, scene.router);
    const vote = storyVote(electionId, 1_001);
    await client.castVote({ vote: wireVote(vote) });
    await client.castVote(
      { vote: wireVote(vote) },
      { headers: { traceparent: `00-${quiet.traceId}-${quiet.spanId}-00` } },
    );
    const asked = new CallerTrace();
    await client.castVote({ vote: wireVote(vote) }, asked);
    client.close();
    await asked.chain("urna.v1.VoteService/CastVote", "frame", "frame", "commit");
    const bodies = collector.bodies.join();
    expect(bodies).not.toContain(quiet.traceId);
    const roots = collector.spans().filter(({ parentSpanId }) => parentSpanId === "");
    expect(roots).toEqual([]);
    const bytes = [Buffer.from(vote.idempotencyKey), ...(await storedNullifiers())];
    const written = bytes.flatMap((secret) => [secret.toString("hex"), secret.toString("base64")]);
    expect(written).toHaveLength(2 * (1 + 4));
    const secrets = [vote.voterId, vote.regionId, storyContestId, ...written];
    for (const secret of secrets) expect(bodies).not.toContain(secret);
  });
});

describe("metrics", () => {
  const pages = () => {
    const { routers, tally, shards } = scene.cluster.endpoints;
    return {
      "urna-router": routers[0]?.metrics ?? "",
      "urna-shard": shards[0]?.nodes[0]?.metrics ?? "",
      "urna-tally": tally.metrics,
    } as const;
  };

  test.each(["urna-router", "urna-shard", "urna-tally"] as const)(
    "%s shows every metric that the list promises, as the list says, and no other",
    async (service) => {
      const has = redis === undefined ? [] : (["redis"] as const);
      expect(metricFaults(await readMetricsPage(pages()[service]), service, has)).toEqual([]);
    },
  );

  test("calls are counted by method, transport and code; exported spans, too", async () => {
    const router = await readMetricsPage(pages()["urna-router"]);
    expect(router).toMatch(
      /urna_rpc_calls_total\{rpc="urna.v1.VoteService\/CastVote",transport="grpc",code="OK"\} [1-9]/,
    );
    expect(router).toMatch(/urna_trace_spans_total\{result="exported"\} [1-9]/);
    expect(router).toMatch(/urna_build_info\{service="urna-router",version="\d+\.\d+\.\d+[^"]*"\} 1/);
  });
});
