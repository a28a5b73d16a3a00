import { expect, test } from "vitest";
import { BlockingQuery } from "./blocking-query.ts";
import type { ConsulAnswer, ConsulQuery } from "./consul-client.ts";
import { ConsulError } from "./consul-client.ts";

const answerAt = (index: number): ConsulAnswer => ({ body: [], index, hasLeader: true, filtered: false });

/** Follows what is answered to one query after the other; a number is an index. */
async function follow(answers: readonly (number | ConsulError)[]) {
  const asked: ConsulQuery[] = [];
  const heard: string[] = [];
  const over = new AbortController();
  const left = [...answers];
  const read = async (_path: string, query: ConsulQuery) => {
    asked.push(query);
    const next = left.shift();
    if (left.length === 0) over.abort();
    if (next instanceof ConsulError) throw next;
    return answerAt(next ?? 0);
  };
  await new BlockingQuery({
    client: { read },
    path: "/kv/x",
    bytesMax: 1,
    onAnswer: ({ index, startedAnew }) => heard.push(`${index}${startedAnew ? " anew" : ""}`),
    onFailure: ({ message }) => heard.push(message),
  }).follow(over.signal);
  return { asked: asked.map(({ index }) => index), heard, asks: asked };
}

test("each query waits from where the one before ended, and any server may answer", async () => {
  const { asked, asks } = await follow([5, 9, 9]);
  expect(asked).toEqual([0, 5, 9]);
  for (const { stale, waitMs } of asks) {
    expect(stale).toBe(true);
    expect(waitMs).toBeGreaterThan(1_000);
  }
});

test("an index that goes backwards starts it anew, and is told", async () => {
  const { asked, heard } = await follow([9, 3, 3, 4]);
  expect(heard).toEqual(["9", "3 anew", "3", "4"]);
  expect(asked).toEqual([0, 9, 0, 3]);
});

test("after a failure it asks again from the same index", async () => {
  const { asked, heard } = await follow([9, new ConsulError("unreachable", "gone"), 9, 10]);
  expect(asked).toEqual([0, 9, 9, 9]);
  expect(heard).toEqual(["9", "gone", "9", "10"]);
});
