/** A tally among scripted shard nodes, everything in this process and over real connections, for the tests of this room. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient as createConnectClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { credentials, makeGenericClientConstructor } from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { vi } from "vitest";
import type { Directory, DirectoryView } from "#mesh/directory.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { createLogger } from "#mesh/log.ts";
import { plaintextMesh } from "#mesh/mesh.ts";
import { fileMesh } from "#mesh/mesh-config.ts";
import type { RedisPlace } from "#mesh/redis-place.ts";
import type { GetTallyResponse } from "#proto/generated/urna/v1/tally_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";
import { evenSlotRanges } from "#proto/slots.ts";
import { deployment } from "./scripted-ledger.ts";
import { ShardLog, ShardNode } from "./scripted-shard.ts";
import type { FollowerTimes } from "./shard-follower.ts";
import type { Tally } from "./tally.ts";
import { openTally } from "./tally.ts";

const anyPort = "127.0.0.1:0";
const log = createLogger("tally", "silent");

/** A directory that says what the test wrote into it. */
class ScriptedDirectory implements Directory {
  readonly #listeners = new Set<(view: DirectoryView) => void>();
  current: DirectoryView;
  readonly trouble = "";

  constructor(shards: readonly (readonly string[])[]) {
    this.current = viewOf(shards);
  }

  onChange(listener: (view: DirectoryView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  change(shards: readonly (readonly string[])[]): void {
    this.current = viewOf(shards);
    for (const listener of this.#listeners) listener(this.current);
  }

  hasEnded(): boolean {
    return false;
  }

  async refresh(): Promise<void> {}
  close(): void {}
}

function viewOf(shards: readonly (readonly string[])[]): DirectoryView {
  const ranges = evenSlotRanges(shards.length);
  const entries = shards.map((nodes, shardId) => ({ shardId, nodes, slots: ranges.slice(shardId, shardId + 1) }));
  return { deployment, tally: anyPort, map: { epoch: 1, shards: entries } };
}

export class ScriptedMesh {
  readonly logs: ShardLog[] = [];
  /** By shard; the first is the writer. */
  readonly nodes: ShardNode[][] = [];
  /** Of every tally that is opened, one after the other. */
  readonly stateFolder = mkdtempSync(join(tmpdir(), "urna-tally-"));
  readonly #closers: (() => unknown)[] = [];
  readonly #times: Partial<FollowerTimes>;
  #directory = new ScriptedDirectory([[]]);

  private constructor(times: Partial<FollowerTimes>) {
    this.#times = times;
  }

  static async start(options: { shards: number; nodesEach?: number; times?: Partial<FollowerTimes> }) {
    const mesh = new ScriptedMesh(options.times ?? {});
    for (let shardId = 0; shardId < options.shards; shardId++) await mesh.addShard(options.nodesEach ?? 1);
    return mesh;
  }

  async addShard(nodeCount = 1): Promise<void> {
    const shardLog = new ShardLog();
    this.logs.push(shardLog);
    const shardId = this.nodes.length;
    const nodes: ShardNode[] = [];
    for (let i = 0; i < nodeCount; i++) nodes.push(await ShardNode.start(shardId, shardLog));
    this.nodes.push(nodes);
    this.#closers.push(() => Promise.all(nodes.map((node) => node.stop())));
    this.#directory.change(this.nodes.map((shardNodes) => shardNodes.map(({ address }) => address)));
  }

  log(shardId: number): ShardLog {
    const found = this.logs[shardId];
    if (found === undefined) throw new Error(`there is no shard ${shardId}`);
    return found;
  }

  node(shardId: number, index = 0): ShardNode {
    const found = this.nodes[shardId]?.[index];
    if (found === undefined) throw new Error(`there is no node ${index} of shard ${shardId}`);
    return found;
  }

  async openTally(redis?: RedisPlace): Promise<RunningTally> {
    const config = {
      name: "tally",
      logLevel: "silent",
      mesh: fileMesh(""),
      grpcListen: anyPort,
      connectListen: anyPort,
      metricsListen: anyPort,
      allowedOrigins: [],
      stateFolder: this.stateFolder,
      redis,
    };
    const fail = (cause: unknown) => {
      throw cause;
    };
    const anew = Promise.withResolvers<string>();
    const startAnew = anew.resolve;
    const tally = await openTally({
      config,
      mesh: plaintextMesh(this.#directory),
      log,
      times: this.#times,
      fail,
      startAnew,
    });
    const running = new RunningTally(tally, anew.promise);
    this.#closers.unshift(() => running.stop());
    return running;
  }

  async stop(): Promise<void> {
    for (const close of this.#closers) await close();
    rmSync(this.stateFolder, { recursive: true, force: true });
  }
}

export class RunningTally {
  readonly client: Client<typeof TallyService>;
  readonly witness: Client<typeof WitnessService>;
  readonly tally: Tally;
  /** Resolves, with the reason, when the tally wants to be started anew. */
  readonly toStartAnew: Promise<string>;
  #stopped: Promise<void> | undefined;

  constructor(tally: Tally, toStartAnew: Promise<string>) {
    this.tally = tally;
    this.toStartAnew = toStartAnew;
    this.client = createClient(TallyService, addressOf(tally.grpc));
    this.witness = createClient(WitnessService, addressOf(tally.grpc));
  }

  /** A browser's client: Connect with JSON. */
  get web() {
    const baseUrl = `http://${addressOf(this.tally.connect)}`;
    return createConnectClient(
      TallyService,
      createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
    );
  }

  get metricsUrl(): string {
    return `http://${addressOf(this.tally.metrics)}/metrics`;
  }

  root(electionId = "mayor"): Promise<GetTallyResponse> {
    return this.client.getTally({ electionId });
  }

  /** The first answer for the root of which this holds. */
  rootOnce(condition: (tally: GetTallyResponse) => boolean, electionId = "mayor"): Promise<GetTallyResponse> {
    const ask = async () => {
      const tally = await this.root(electionId);
      if (!condition(tally)) throw new Error("not yet");
      return tally;
    };
    return vi.waitFor(ask, { timeout: 10_000, interval: 10 });
  }

  health(service: string): Promise<string> {
    const HealthClient = makeGenericClientConstructor(healthService, "health");
    const client = new HealthClient(addressOf(this.tally.grpc), credentials.createInsecure());
    return new Promise<string>((resolve, reject) => {
      client["check"]?.({ service }, (error: Error | null, response: { status: string }) =>
        error === null ? resolve(response.status) : reject(error),
      );
    }).finally(() => client.close());
  }

  /** Drains the tally, at most once. */
  stop(): Promise<void> {
    this.#stopped ??= this.tally.drain().finally(() => {
      this.client.close();
      this.witness.close();
    });
    return this.#stopped;
  }
}

function addressOf({ host, port }: { host: string; port: number }): string {
  return `${host}:${port}`;
}
