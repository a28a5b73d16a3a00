import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ShardNodeStatusSchema } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { pollMesh } from "./mesh-poll.ts";

describe("asking how the shards stand", () => {
  test("a failure makes the state unknown, and the next answer known again", async () => {
    const stop = new AbortController();
    const answers = [[create(ShardNodeStatusSchema)], new Error("away"), [], undefined];
    const seen: (number | undefined)[] = [];
    await pollMesh({
      async ask() {
        const answer = answers.shift();
        if (answer === undefined) stop.abort();
        if (answer instanceof Error) throw answer;
        return answer ?? [];
      },
      onNodes: (nodes) => seen.push(nodes?.length),
      isFinal: () => false,
      wait: async () => {},
      signal: stop.signal,
    });
    expect(seen).toEqual([1, undefined, 0, 0]);
  });

  test("a server that does not offer the call is asked once", async () => {
    let asked = 0;
    await pollMesh({
      async ask() {
        asked += 1;
        throw new Error("unimplemented");
      },
      onNodes: () => {},
      isFinal: () => true,
      wait: async () => {},
      signal: new AbortController().signal,
    });
    expect(asked).toBe(1);
  });
});
