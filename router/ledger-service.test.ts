import { afterEach, describe, expect, test } from "vitest";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { HealthProbe } from "#mesh/health-probe.ts";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import type { Harness } from "./router-harness.ts";
import { asAdmin, electionId, shardOf, startHarness } from "./router-harness.ts";

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type Rig = Harness & { readonly ledger: Client<typeof LedgerService> };

async function start(options: Parameters<typeof startHarness>[0] = {}): Promise<Rig> {
  const harness = await startHarness(options);
  closers.push(() => harness.close());
  const ledger = createClient(LedgerService, `127.0.0.1:${harness.router.grpc.port}`);
  closers.push(() => ledger.close());
  return { ...harness, ledger };
}

/** A call as Connect JSON: the answer, or the error with its catalogue id. */
async function post({ connectUrl }: Harness, method: string, request: object) {
  const response = await fetch(`${connectUrl}/urna.v1.LedgerService/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  const json = await response.json();
  return { status: response.status, json, reason: json.details?.[0]?.debug?.reason, message: json.message };
}

const note = (text: string) => Buffer.from(text);

/** Every shard answers with something of its own. */
function scriptLedgers({ shards }: Harness): void {
  for (const shard of shards) {
    const { shardId } = shard;
    shard.ledger = {
      getShardCheckpoint: async () => ({
        signedNote: note(`checkpoint of ${shardId}`),
        verifierKey: `test/shard/${shardId}+key`,
      }),
      getShardResult: async () => ({ signedNote: note(`result of ${shardId}`) }),
    };
  }
}

test("a checkpoint, and each proof, is that of the shard that was asked for", async () => {
  const rig = await start({ shardCount: 2 });
  const { ledger } = rig;
  scriptLedgers(rig);
  const asked: unknown[] = [];
  Object.assign(shardOf(rig, 1).ledger, {
    proveInclusion: async (request: unknown) => {
      asked.push(request);
      return { hashes: [note("a"), note("b")], entry: note("entry") };
    },
    proveConsistency: async (request: unknown) => {
      asked.push(request);
      return { hashes: [note("c")] };
    },
  });
  const { signedNote } = await ledger.getCheckpoint({ shardId: 1 });
  expect(Buffer.from(signedNote).toString()).toBe("checkpoint of 1");
  const inclusion = await ledger.getInclusionProof({ shardId: 1, leafIndex: 6n, treeSize: 7n });
  expect(inclusion.hashes.map((hash) => Buffer.from(hash).toString())).toEqual(["a", "b"]);
  expect(Buffer.from(inclusion.entry).toString()).toBe("entry");
  const consistency = await ledger.getConsistencyProof({ shardId: 1, oldSize: 3n, newSize: 3n });
  expect(consistency.hashes).toHaveLength(1);
  expect(asked).toMatchObject([
    { leafIndex: 6n, treeSize: 7n },
    { oldSize: 3n, newSize: 3n },
  ]);
  const json = await post(rig, "GetCheckpoint", { shardId: 1 });
  expect(json).toMatchObject({
    status: 200,
    json: { signedNote: Buffer.from("checkpoint of 1").toString("base64") },
  });
});

test("the ledger is served by the health service while a shard is reached", async () => {
  const { router } = await start();
  const probe = new HealthProbe(`127.0.0.1:${router.grpc.port}`);
  closers.push(() => probe.close());
  expect(await probe.isServing(LedgerService.typeName, 1_000)).toBe(true);
});

const beyondAll = 2n ** 64n - 1n;

const badQuestions: readonly {
  what: string;
  method: "getCheckpoint" | "getInclusionProof" | "getConsistencyProof";
  request: { shardId: number; leafIndex?: bigint; treeSize?: bigint; oldSize?: bigint; newSize?: bigint };
  reason: string;
  says: string;
}[] = [
  {
    what: "the checkpoint of an unknown shard",
    method: "getCheckpoint",
    request: { shardId: 2 },
    reason: "NOT_FOUND",
    says: "there is no shard 2: GetVerifierKeys lists",
  },
  {
    what: "the checkpoint of the largest number",
    method: "getCheckpoint",
    request: { shardId: 2 ** 32 - 1 },
    reason: "NOT_FOUND",
    says: "there is no shard 4294967295",
  },
  {
    what: "an inclusion in an unknown shard",
    method: "getInclusionProof",
    request: { shardId: 9, leafIndex: 0n, treeSize: 1n },
    reason: "NOT_FOUND",
    says: "there is no shard 9",
  },
  {
    what: "an inclusion in an empty tree",
    method: "getInclusionProof",
    request: { shardId: 0, leafIndex: 0n, treeSize: 0n },
    reason: "INVALID_REQUEST",
    says: "tree_size is 0",
  },
  {
    what: "the leaf one beyond the tree",
    method: "getInclusionProof",
    request: { shardId: 0, leafIndex: 7n, treeSize: 7n },
    reason: "INVALID_REQUEST",
    says: "leaf_index 7 is beyond a tree of 7 leaves, whose last one is 6: ask for a larger tree_size",
  },
  {
    what: "the largest leaf of all numbers",
    method: "getInclusionProof",
    request: { shardId: 0, leafIndex: beyondAll, treeSize: 7n },
    reason: "INVALID_REQUEST",
    says: "leaf_index 18446744073709551615 is beyond",
  },
  {
    what: "the largest tree of all numbers",
    method: "getInclusionProof",
    request: { shardId: 0, leafIndex: 0n, treeSize: beyondAll },
    reason: "NOT_FOUND",
    says: "tree_size 18446744073709551615 is beyond every log: take it from a checkpoint",
  },
  {
    what: "a tree that is one larger than numbers are exact",
    method: "getInclusionProof",
    request: { shardId: 0, leafIndex: 0n, treeSize: 2n ** 53n },
    reason: "NOT_FOUND",
    says: "beyond every log",
  },
  {
    what: "consistency in an unknown shard",
    method: "getConsistencyProof",
    request: { shardId: 3, oldSize: 1n, newSize: 2n },
    reason: "NOT_FOUND",
    says: "there is no shard 3",
  },
  {
    what: "consistency with an empty tree",
    method: "getConsistencyProof",
    request: { shardId: 0, oldSize: 0n, newSize: 2n },
    reason: "INVALID_REQUEST",
    says: "old_size is 0",
  },
  {
    what: "consistency of an empty tree",
    method: "getConsistencyProof",
    request: { shardId: 0, oldSize: 0n, newSize: 0n },
    reason: "INVALID_REQUEST",
    says: "is 0",
  },
  {
    what: "consistency backwards",
    method: "getConsistencyProof",
    request: { shardId: 0, oldSize: 3n, newSize: 2n },
    reason: "INVALID_REQUEST",
    says: "old_size 3 is larger than new_size 2",
  },
  {
    what: "consistency with the largest of all numbers",
    method: "getConsistencyProof",
    request: { shardId: 0, oldSize: 1n, newSize: beyondAll },
    reason: "NOT_FOUND",
    says: "new_size 18446744073709551615 is beyond every log",
  },
];

describe("a question that no log can answer is refused before a shard hears of it, and says what to do (I9)", () => {
  for (const { what, method, request, reason, says } of badQuestions) {
    test(`${what}: ${reason}`, async () => {
      const rig = await start({ shardCount: 2 });
      const calling: Promise<unknown> = rig.ledger[method](request);
      const failure = await calling.catch((cause: unknown) => cause);
      expect(failure).toMatchObject({ reason, message: expect.stringContaining(says) });
      const texts = Object.entries(request).map(([name, value]) => [name, String(value)]);
      const json = await post(rig, `G${method.slice(1)}`, { ...Object.fromEntries(texts), shardId: request.shardId });
      expect(json).toMatchObject({ reason, message: expect.stringContaining(says) });
    });
  }

  for (const shardId of [-1, 2 ** 32, 0.5, "one"]) {
    test(`shard ${shardId} of Connect JSON: INVALID_REQUEST`, async () => {
      expect(await post(await start(), "GetCheckpoint", { shardId })).toMatchObject({ reason: "INVALID_REQUEST" });
    });
  }

  test("a leaf beyond 64 bits of Connect JSON: INVALID_REQUEST", async () => {
    const request = { shardId: 0, leafIndex: String(2n ** 64n), treeSize: "1" };
    expect(await post(await start(), "GetInclusionProof", request)).toMatchObject({ reason: "INVALID_REQUEST" });
  });
});

test("what only the shard knows, it refuses itself: its word is passed on", async () => {
  const rig = await start();
  const beyond = new RejectionError("NOT_FOUND", "the log has 5 leaves");
  shardOf(rig).ledger.proveInclusion = async () => {
    throw beyond;
  };
  const asking = rig.ledger.getInclusionProof({ shardId: 0, leafIndex: 0n, treeSize: 7n });
  await expect(asking).rejects.toMatchObject({ reason: "NOT_FOUND", message: beyond.message });
});

describe("verifier keys", () => {
  test("are those of every shard", async () => {
    const rig = await start({ shardCount: 3 });
    scriptLedgers(rig);
    const { keys } = await rig.ledger.getVerifierKeys({});
    expect(keys.map(({ shardId, verifierKey }) => [shardId, verifierKey])).toEqual([
      [0, "test/shard/0+key"],
      [1, "test/shard/1+key"],
      [2, "test/shard/2+key"],
    ]);
  });

  test("are refused while one shard cannot be reached, by its name", async () => {
    const rig = await start({ shardCount: 2 });
    scriptLedgers(rig);
    await shardOf(rig, 1).stop();
    const failure = await rig.ledger.getVerifierKeys({}, { deadlineMs: 700 }).catch((cause: unknown) => cause);
    expect(failure).toMatchObject({ reason: "SHARD_UNAVAILABLE", message: expect.stringContaining("shard 1") });
  });
});

describe("the result of an election", () => {
  test("is what every shard signed", async () => {
    const rig = await start({ shardCount: 2 });
    scriptLedgers(rig);
    const { results } = await rig.ledger.getElectionResult({ electionId });
    expect(results.map(({ shardId, signedNote }) => [shardId, Buffer.from(signedNote).toString()])).toEqual([
      [0, "result of 0"],
      [1, "result of 1"],
    ]);
  });

  const notClosed = ["RESULTS_SEALED", "UNKNOWN_ELECTION"] as const;

  for (const reason of notClosed) {
    test(`that one shard answers with ${reason} is sealed until that shard has closed it, too`, async () => {
      const rig = await start({ shardCount: 2 });
      scriptLedgers(rig);
      shardOf(rig, 1).ledger.getShardResult = async () => {
        throw new RejectionError(reason);
      };
      const failure = await rig.ledger.getElectionResult({ electionId }).catch((cause: unknown) => cause);
      expect(failure).toMatchObject({
        reason: "RESULTS_SEALED",
        message: expect.stringContaining(`"${electionId}" is not closed on shard 1`),
      });
    });
  }

  test("that no shard knows is unknown", async () => {
    const rig = await start({ shardCount: 2 });
    for (const { ledger } of rig.shards) {
      ledger.getShardResult = async () => {
        throw new RejectionError("UNKNOWN_ELECTION");
      };
    }
    const unknown = { electionId: "nowhere" };
    await expect(rig.ledger.getElectionResult(unknown)).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
    expect(await post(rig, "GetElectionResult", unknown)).toMatchObject({ reason: "UNKNOWN_ELECTION" });
  });

  test("is refused while one shard cannot be reached", async () => {
    const rig = await start({ shardCount: 2 });
    scriptLedgers(rig);
    shardOf(rig, 0).role = ShardRole.SPARE;
    shardOf(rig, 0).ledger.getShardResult = async () => {
      throw new RejectionError("SHARD_UNAVAILABLE", "this node is a spare");
    };
    const asking = rig.ledger.getElectionResult({ electionId }, { deadlineMs: 700 });
    await expect(asking).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  });
});

describe("accepting a loss", () => {
  for (const headers of [{}, { authorization: "Bearer wrong" }]) {
    test(`with ${JSON.stringify(headers)} instead of the admin token is denied, and no node is asked`, async () => {
      const rig = await start();
      let asked = 0;
      shardOf(rig).ledger.acceptShardLoss = async () => {
        asked += 1;
        return {};
      };
      const accepting = rig.ledger.acceptLoss({ shardId: 0 }, { headers });
      await expect(accepting).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
      expect(asked).toBe(0);
    });
  }

  /** One shard of three nodes; `answers` is what each does. */
  async function threeNodes(answers: readonly (() => string)[]) {
    const rig = await start();
    const asked: string[] = [];
    const others = await Promise.all([startHarness(), startHarness()]);
    closers.push(...others.map((other) => () => other.close()));
    const nodes = [rig, ...others].map((harness) => shardOf(harness));
    for (const [index, node] of nodes.entries()) {
      node.role = ShardRole.SPARE;
      node.ledger.acceptShardLoss = async ({ requestedBy }) => {
        asked.push(`${index} by ${requestedBy}`);
        return { logOrigin: answers[index]?.() ?? "" };
      };
    }
    const { current } = rig.directory;
    const [shard] = current.map.shards;
    if (shard === undefined) throw new Error("one shard is expected");
    const addresses = nodes.map(({ address }) => address);
    rig.directory.set({ ...current, map: { epoch: 2, shards: [{ ...shard, nodes: addresses }] } });
    return { ...rig, nodes, asked };
  }

  const isNoWriter = () => {
    throw new RejectionError("SHARD_UNAVAILABLE", "this node waits for the writer");
  };

  test("asks the shard's nodes one after the other until one accepts; no node writes then", async () => {
    const rig = await threeNodes([isNoWriter, () => "test/shard/0/2", () => "never"]);
    const { logOrigin } = await rig.ledger.acceptLoss({ shardId: 0 }, asAdmin);
    expect(logOrigin).toBe("test/shard/0/2");
    expect(rig.asked).toEqual(["0 by admin", "1 by admin"]);
  });

  test("goes on past a node that is down", async () => {
    const rig = await threeNodes([() => "never", () => "test/shard/0/2", () => "never"]);
    await rig.nodes[0]?.stop();
    expect((await rig.ledger.acceptLoss({ shardId: 0 }, asAdmin)).logOrigin).toBe("test/shard/0/2");
  });

  test("that no node accepts is refused with the word of the node that knows most", async () => {
    const lost = () => {
      throw new RejectionError("INVALID_REQUEST", "this shard has lost nothing");
    };
    const rig = await threeNodes([isNoWriter, lost, isNoWriter]);
    const failure = await rig.ledger.acceptLoss({ shardId: 0 }, asAdmin).catch((cause: unknown) => cause);
    expect(failure).toMatchObject({ reason: "INVALID_REQUEST", message: "this shard has lost nothing" });
    expect(rig.asked).toHaveLength(3);
  });

  test("of a shard whose nodes are all down says so", async () => {
    const rig = await threeNodes([isNoWriter, isNoWriter, isNoWriter]);
    for (const node of rig.nodes) await node.stop();
    const failure = await rig.ledger.acceptLoss({ shardId: 0 }, asAdmin).catch((cause: unknown) => cause);
    expect(failure).toMatchObject({ reason: "SHARD_UNAVAILABLE", message: expect.stringContaining("of shard 0") });
  });

  test("of an unknown shard is refused", async () => {
    const { ledger } = await start();
    await expect(ledger.acceptLoss({ shardId: 1 }, asAdmin)).rejects.toMatchObject({ reason: "NOT_FOUND" });
  });
});
