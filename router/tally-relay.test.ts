import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, expect, test } from "vitest";
import { createClient } from "#mesh/grpc-client.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { ServiceImplementation } from "#mesh/service-call.ts";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { HandDirectory, openHarness } from "./router-harness.ts";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** What an auditor has to say of a cut. */
const audited = {
  verifiedThrough: [{ shardId: 0, batch: 17n }],
  auditFindings: ["shard 0: leaf 3 is another"],
  auditSilentSince: timestampFromMs(4_000),
};

/** A tally whose frames a test hands out. */
class HandTally {
  upstreams = 0;
  readonly ended = Promise.withResolvers<void>();
  #frame = 0n;
  #failure: Error | undefined;
  readonly #wakers = new Set<() => void>();

  publish(): void {
    this.#frame += 1n;
    for (const wake of this.#wakers) wake();
  }

  fail(failure: Error): void {
    this.#failure = failure;
    for (const wake of this.#wakers) wake();
  }

  get service(): ServiceImplementation<typeof TallyService> {
    const self = this;
    return {
      async getTally({ electionId }) {
        if (electionId !== "e") throw new RejectionError("UNKNOWN_ELECTION");
        return { electionId, cut: audited };
      },
      async *getTallyTable() {
        yield { regions: [{ regionId: "a" }] };
        yield { regions: [{ regionId: "b" }] };
      },
      async *recount() {
        yield { part: { case: "progress", value: { rowsCounted: 1n, rowsExpected: 2n } } };
      },
      async *watchTally({ electionId }, call) {
        self.upstreams += 1;
        call.signal.addEventListener("abort", () => self.ended.resolve());
        let seen = -1n;
        while (!call.signal.aborted) {
          if (self.#failure !== undefined) throw self.#failure;
          if (seen < self.#frame) {
            seen = self.#frame;
            yield { electionId, cut: { frame: { incarnation: 1n, number: seen }, ...audited } };
            continue;
          }
          await new Promise<void>((resolve) => {
            self.#wakers.add(resolve);
          });
        }
      },
    };
  }
}

async function start() {
  const tally = new HandTally();
  const server = new GrpcServer([bind(TallyService, tally.service)]);
  const { port } = await server.listen("127.0.0.1:0");
  const view = {
    deployment: "test",
    map: { epoch: 1, shards: [{ shardId: 0, slots: [[0, 16_383] as const], nodes: ["127.0.0.1:1"] }] },
    tally: `127.0.0.1:${port}`,
  };
  const harness = await openHarness(new HandDirectory(view));
  const client = createClient(TallyService, `127.0.0.1:${harness.router.grpc.port}`);
  const witness = createClient(WitnessService, `127.0.0.1:${harness.router.grpc.port}`);
  closers.push(
    () => server.close(0),
    () => harness.close(),
    () => client.close(),
    () => witness.close(),
  );
  return { tally, client, witness, server };
}

type Watch = ReturnType<ReturnType<typeof createClient<typeof TallyService>>["watchTally"]>;

function framesOf(watch: Watch) {
  const iterator = watch[Symbol.asyncIterator]();
  return {
    next: async () => {
      const next = await iterator.next();
      return next.done === true ? undefined : next.value.cut?.frame?.number;
    },
    leave: async () => {
      await iterator.return?.();
    },
  };
}

test("queries, tables and recounts are passed on, and so are the tally's refusals", async () => {
  const { client } = await start();
  expect(await client.getTally({ electionId: "e" })).toMatchObject({ electionId: "e" });
  await expect(client.getTally({ electionId: "x" })).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
  const regions: string[] = [];
  for await (const part of client.getTallyTable({ electionId: "e" })) {
    regions.push(...part.regions.map(({ regionId }) => regionId));
  }
  expect(regions).toEqual(["a", "b"]);
  for await (const { part } of client.recount({ electionId: "e" })) expect(part.case).toBe("progress");
});

test("what auditors said of a cut is passed on as it is (I7)", async () => {
  const { client } = await start();
  const { cut } = await client.getTally({ electionId: "e" });
  expect(cut).toMatchObject(audited);
  for await (const frame of client.watchTally({ electionId: "e" })) {
    expect(frame.cut).toMatchObject(audited);
    break;
  }
});

test("a router does not offer what is for shard nodes and auditors alone", async () => {
  const { witness } = await start();
  await expect(witness.getHighestCheckpoint({ shardId: 0 })).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
});

test("all who watch a region share one watch, each gets the frames, the latest first", async () => {
  const { tally, client } = await start();
  tally.publish();
  const watchers = Array.from({ length: 5 }, () => framesOf(client.watchTally({ electionId: "e" })));
  for (const watcher of watchers) expect(await watcher.next()).toBe(1n);
  tally.publish();
  for (const watcher of watchers) expect(await watcher.next()).toBe(2n);
  const late = framesOf(client.watchTally({ electionId: "e" }));
  expect(await late.next()).toBe(2n);
  expect(tally.upstreams).toBe(1);
});

test("the tally is left when the last watcher leaves", async () => {
  const { tally, client } = await start();
  const watchers = Array.from({ length: 3 }, () => framesOf(client.watchTally({ electionId: "e" })));
  for (const watcher of watchers) await watcher.next();
  for (const watcher of watchers) await watcher.leave();
  await tally.ended.promise;
  const again = framesOf(client.watchTally({ electionId: "e" }));
  expect(await again.next()).toBe(0n);
  expect(tally.upstreams).toBe(2);
});

test("a tally that goes away ends watches and queries as TALLY_UNAVAILABLE", async () => {
  const { client, server } = await start();
  const watcher = framesOf(client.watchTally({ electionId: "e" }));
  await watcher.next();
  await server.close(0);
  await expect(watcher.next()).rejects.toMatchObject({ reason: "TALLY_UNAVAILABLE", retryAfterMs: 500 });
  await expect(client.getTally({ electionId: "e" })).rejects.toMatchObject({ reason: "TALLY_UNAVAILABLE" });
});

test("a refused watch is refused to all who share it, and can be tried again", async () => {
  const { tally, client } = await start();
  const watcher = framesOf(client.watchTally({ electionId: "e" }));
  await watcher.next();
  tally.fail(new RejectionError("UNKNOWN_ELECTION"));
  await expect(watcher.next()).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
  await expect(framesOf(client.watchTally({ electionId: "e" })).next()).rejects.toMatchObject({
    reason: "UNKNOWN_ELECTION",
  });
  expect(tally.upstreams).toBe(2);
});
