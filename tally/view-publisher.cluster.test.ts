/** A tally among scripted shards and a real Redis: what it publishes there, and that nothing waits for Redis. */
import { fromBinary } from "@bufbuild/protobuf";
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findRedis } from "#deploy/redis-binary.ts";
import { placeOf, redisClient, restrictedPlace } from "#deploy/redis-client.ts";
import { RedisRig } from "#deploy/redis-rig.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { createLogger } from "#mesh/log.ts";
import { RedisLink } from "#mesh/redis-link.ts";
import { ResultsVisibility } from "#proto/generated/urna/v1/election_pb.js";
import { GetTallyResponseSchema, GetTallyTableResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import type { PackedTally, TallyView } from "#proto/published-tally.ts";
import { readPublished, ViewNames } from "#proto/published-tally.ts";
import { noAudit } from "./audit-board.ts";
import { publisherLimits, publisherTimes } from "./config.ts";
import { CountBook } from "./count-book.ts";
import { Frame } from "./frame.ts";
import {
  ballotFor,
  CLOSED,
  CREATED,
  cell,
  countsMessage,
  leaf,
  OPEN,
  sampleDefinition,
  sampleShape,
} from "./sample-election.ts";
import { deployment } from "./scripted-ledger.ts";
import type { RunningTally } from "./scripted-mesh.ts";
import { ScriptedMesh } from "./scripted-mesh.ts";
import { ViewPublisher } from "./view-publisher.ts";

const missing = await toolSkipReason("publishing of tallies through Redis", findRedis);
const limitMs = 20_000;
const root: TallyView = { kind: "region", electionId: "mayor", regionId: "" };
const table: TallyView = { kind: "table", electionId: "mayor" };
const names = new ViewNames(deployment);

describe.skipIf(missing !== undefined)("the tally publishes through Redis", () => {
  let rig: RedisRig;
  let redis: Redis;
  let listener: Redis;
  let mesh: ScriptedMesh;
  let tally: RunningTally;
  /** What was heard last, by channel. */
  const heard = new Map<string, Buffer>();

  beforeAll(async () => {
    rig = await RedisRig.start();
    redis = redisClient(rig);
    listener = redisClient(rig);
    listener.on("messageBuffer", (channel: Buffer, message: Buffer) => heard.set(channel.toString(), message));
  });

  afterAll(async () => {
    redis?.disconnect();
    listener?.disconnect();
    await rig?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    await waitFor("Redis", limitMs, () => redis.flushall().catch(() => undefined));
    heard.clear();
    mesh = await ScriptedMesh.start({ shards: 1 });
    // The rights that docs/redis.md names.
    tally = await mesh.openTally(await restrictedPlace(rig, redis, ["time", "set", "publish", "pubsub|channels"]));
  });

  afterEach(async () => {
    await listener.unsubscribe();
    await mesh.stop();
  });

  const vote = { deltas: ballotFor(leaf.hill, cell.ada) };

  /** An election with one vote; resolves when the tally has counted it. */
  async function elect(results = ResultsVisibility.LIVE): Promise<void> {
    mesh.log(0).definitions.set("mayor", sampleDefinition({ results }));
    mesh.log(0).append({ state: CREATED }, { state: OPEN }, vote);
    await untilCounted(1n);
  }

  /** Answers the number of a frame in which so many are counted. */
  async function untilCounted(ballots: bigint): Promise<bigint> {
    const { cut } = await tally.rootOnce(({ region }) => region?.ballots === ballots);
    return cut?.frame?.number ?? 0n;
  }

  const from = (number: bigint) => (packed: PackedTally) => (packed.cut.frame?.number ?? 0n) >= number;

  async function listen(...views: readonly TallyView[]): Promise<void> {
    await listener.subscribe(...views.map((view) => names.nameOf(view)));
  }

  /** The first answer heard of which this holds. */
  function told(view: TallyView, condition: (packed: PackedTally) => boolean = () => true): Promise<PackedTally> {
    return waitFor("an answer to be told", limitMs, () => {
      const message = heard.get(names.nameOf(view));
      const packed = message === undefined ? undefined : readPublished(view, message);
      return packed !== undefined && condition(packed) ? packed : undefined;
    });
  }

  async function regionOf(packed: PackedTally) {
    const [answer] = await packed.unpack();
    return fromBinary(GetTallyResponseSchema, answer ?? new Uint8Array());
  }

  async function metric(name: string): Promise<number> {
    const text = await (await fetch(tally.metricsUrl)).text();
    const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1) ?? 0);
  }

  test("exactly what it answers, to whoever listens, and keeps it for a moment", async () => {
    await elect();
    await listen(root, table);
    const answer = await regionOf(await told(root));
    expect(answer.region).toEqual((await tally.root()).region);
    const [rows] = await (await told(table)).unpack();
    expect(fromBinary(GetTallyTableResponseSchema, rows ?? new Uint8Array()).regions).toHaveLength(4);
    expect(await redis.pttl(names.nameOf(root))).toBeGreaterThan(0);
  });

  test("nothing that nobody listens for, and nothing of what does not exist", async () => {
    await elect();
    const north: TallyView = { kind: "region", electionId: "mayor", regionId: "north" };
    await listen(
      north,
      { ...root, electionId: "other" },
      { ...root, regionId: "nowhere" },
      { ...table, electionId: "x" },
    );
    await told(north);
    mesh.log(0).append(vote);
    await told(north, from(await untilCounted(2n)));
    expect([...heard.keys()]).toEqual([names.nameOf(north)]);
    expect(await redis.keys("*")).toEqual([names.nameOf(north)]);
  });

  test("of a sealed election only the turnout, until the close", async () => {
    await elect(ResultsVisibility.SEALED);
    await listen(root, table);
    const sealed = await regionOf(await told(root));
    expect(sealed).toMatchObject({ cut: { sealed: true }, region: { ballots: 1n, contests: [] } });
    expect(sealed.children.every(({ contests }) => contests.length === 0)).toBe(true);
    const [rows] = await (await told(table)).unpack();
    const { regions } = fromBinary(GetTallyTableResponseSchema, rows ?? new Uint8Array());
    expect(regions.every(({ contests }) => contests.length === 0)).toBe(true);
    mesh.log(0).append({ state: CLOSED });
    const { cut } = await tally.rootOnce((answer) => answer.cut?.final === true);
    const open = await regionOf(await told(root, from(cut?.frame?.number ?? 0n)));
    expect(open.region?.contests[0]?.options[0]).toMatchObject({ optionId: "ada", count: 1n });
  });

  test("a Redis without memory still tells, and one that is frozen holds up nothing", async () => {
    await elect();
    await listen(root);
    await told(root);
    await redis.config("SET", "maxmemory-policy", "noeviction");
    await redis.config("SET", "maxmemory", "1");
    try {
      await waitFor("refusals", limitMs, async () =>
        (await metric('urna_tally_published_answers_total{outcome="refused"}')) > 0 ? true : undefined,
      );
      mesh.log(0).append(vote);
      await told(root, from(await untilCounted(2n)));
    } finally {
      await redis.config("SET", "maxmemory", "64mb");
      await redis.config("SET", "maxmemory-policy", "allkeys-lru");
    }
    rig.freeze();
    try {
      await waitFor("skipped beats", limitMs, async () =>
        (await metric("urna_tally_skipped_beats_total")) > 2 ? true : undefined,
      );
      mesh.log(0).append(vote);
      await untilCounted(3n);
    } finally {
      rig.thaw();
    }
    await told(root, from(await untilCounted(3n)));
  });

  test("and says what is wrong while Redis does not keep it, or does not answer", async () => {
    const log = createLogger("tally", "silent");
    const link = new RedisLink({ place: placeOf(rig), name: "publisher test", log, times: publisherTimes });
    const publisher = new ViewPublisher({ link, names, limits: publisherLimits, log, beatEnded: () => {} });
    const book = new CountBook([0]);
    book.define(sampleShape());
    book.fold(0, countsMessage({ from: 1, state: OPEN }));
    const content = { incarnation: 1n, number: 1n, asOfMs: 0, book: book.snapshot(), missing: [], audit: noAudit };
    const frame = new Frame(content);
    const untilTrouble = (pattern: RegExp) =>
      waitFor(`trouble like ${pattern}`, limitMs, () => {
        publisher.tick(performance.now(), frame);
        return pattern.test(publisher.trouble()) ? true : undefined;
      });
    try {
      await listen(root);
      await waitFor("an answer to be told", limitMs, () => {
        publisher.tick(performance.now(), frame);
        return heard.has(names.nameOf(root)) ? true : undefined;
      });
      await redis.config("SET", "maxmemory-policy", "noeviction");
      await redis.config("SET", "maxmemory", "1");
      await untilTrouble(
        /^Redis does not keep what the tally publishes since \d+ s \(OOM .*\); routers may have to ask/,
      );
      await redis.config("SET", "maxmemory", "64mb");
      await untilTrouble(/^$/);
      rig.freeze();
      await untilTrouble(/^Redis does not answer since \d+ s \(.*\); routers ask the tally$/);
      rig.thaw();
      await untilTrouble(/^$/);
    } finally {
      rig.thaw();
      publisher.close();
    }
  });
});
