import { createSecretKey, randomBytes } from "node:crypto";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { createLogger } from "#mesh/log.ts";
import { RejectionError } from "#proto/rejections.ts";
import { Admission } from "./admission.ts";
import { Casting } from "./casting.ts";
import { admissionLimits } from "./config.ts";
import { ElectionCache } from "./election-cache.ts";
import { routerStops } from "./gate.ts";
import { RouterMetrics } from "./metrics.ts";
import { StreamCall } from "./stream-call.ts";
import { VoteTable } from "./vote-table.ts";

const votesMax = 4;

function open(): StreamCall {
  const log = createLogger("stream-test", "silent");
  const metrics = new RouterMetrics(new Registry());
  const cache = new ElectionCache(async () => undefined, createSecretKey(randomBytes(32)), log);
  const overloaded = () => new RejectionError("OVERLOADED");
  const table = new VoteTable(new Admission(admissionLimits));
  return new StreamCall(
    { casting: new Casting({ cache, table, log, overloaded, metrics: metrics.sheds }), metrics },
    votesMax,
  );
}

test("a caller that takes no answers is not read on, also when its stream has ended (I9)", async () => {
  const stream = open();
  stream.end(routerStops());
  let read = 0;
  const reading = (async () => {
    for (; read < 1_000; read++) {
      stream.refuse(BigInt(read), routerStops());
      await stream.room();
    }
  })();
  await new Promise(setImmediate);
  expect(read).toBeLessThan(votesMax);

  // It takes them: those that were there at the end of its last vote are the last, however many come on.
  const answers = stream.answers();
  const taken: bigint[] = [];
  await expect(
    (async () => {
      for await (const { sequence } of answers) taken.push(sequence);
    })(),
  ).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  expect(taken).toEqual([0n, 1n, 2n, 3n]);
  await reading;
});
