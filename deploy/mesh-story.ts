/** A town of two shards, a tally and a router, as tests tell it: what each has with a real Consul, without the votes. */
import { mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { AnnouncedService, ServiceStatus } from "#mesh/announcer.ts";
import type { ConsulMesh, ConsulMeshOptions } from "#mesh/consul/consul-mesh.ts";
import { openConsulMesh } from "#mesh/consul/consul-mesh.ts";
import type { DirectoryView } from "#mesh/directory.ts";
import type { SlotRange } from "#proto/slots.ts";
import type { ConsulHolder } from "./consul-policies.ts";
import { ConsulRig } from "./consul-rig.ts";
import { waitFor } from "./wait-for.ts";

export const finePasses: ServiceStatus = { level: "passing", line: "fine" };
export const halves: readonly SlotRange[] = [
  [0, 8_191],
  [8_192, 16_383],
];

const limitMs = 30_000;
const warning = 40;

type LogLine = { readonly level: number; readonly msg: string; readonly because?: string };

/** As an operator finds it in Consul's catalogue. */
export type SeenStatus = {
  readonly id: string;
  readonly tags: readonly string[];
  readonly process: string | undefined;
  readonly level: string | undefined;
  readonly line: string | undefined;
};

/** One process: what it has with Consul, a port that it listens on, what it logs and every view it has shown. */
export class Participant {
  readonly mesh: ConsulMesh;
  readonly address: string;
  readonly views: DirectoryView[] = [];
  readonly #lines: readonly LogLine[];
  readonly #listener: Server;

  constructor(mesh: ConsulMesh, lines: readonly LogLine[], listener: Server) {
    this.mesh = mesh;
    this.#lines = lines;
    this.#listener = listener;
    this.address = `127.0.0.1:${portOf(listener)}`;
    mesh.directory.onChange((view) => this.views.push(view));
  }

  announce(
    service: AnnouncedService,
    id: string,
    meta: Record<string, string>,
    status = finePasses,
    tags: string[] = [],
  ): void {
    const port = portOf(this.#listener);
    this.mesh.announcer.announce({ service, id, host: "127.0.0.1", port, tags, meta }, status);
  }

  /** Warnings and errors with these words. */
  complaints(words: string): LogLine[] {
    return this.#lines.filter(({ level, msg, because }) => level >= warning && `${msg} ${because}`.includes(words));
  }

  close(): void {
    this.mesh.close();
    this.#listener.close();
  }
}

export class MeshStory {
  readonly rig: ConsulRig;
  readonly #folder = mkdtempSync(join(tmpdir(), "urna-mesh-story-"));
  readonly #participants: Participant[] = [];
  readonly #shards: Participant[] = [];
  #tally: Participant | undefined;
  #router: Participant | undefined;

  private constructor(rig: ConsulRig) {
    this.rig = rig;
  }

  /** Resolves when the router knows the shards, by a map that they have made, and the tally. */
  static async begin(): Promise<MeshStory> {
    const story = new MeshStory(await ConsulRig.start());
    try {
      await story.#begin();
      return story;
    } catch (error) {
      await story.end();
      throw error;
    }
  }

  async end(): Promise<void> {
    for (const participant of this.#participants) participant.close();
    await this.rig[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get router(): Participant {
    return there(this.#router);
  }

  get tally(): Participant {
    return there(this.#tally);
  }

  get shards(): readonly Participant[] {
    return this.#shards;
  }

  shard(shardId: number): Participant {
    return there(this.#shards[shardId]);
  }

  /** A process that keeps its cache under this name; `address` when it is to find Consul elsewhere. */
  async open(
    holder: ConsulHolder,
    name: string,
    { address, ...options }: ConsulMeshOptions & { readonly address?: string } = {},
  ): Promise<Participant> {
    const lines: LogLine[] = [];
    const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as LogLine) });
    const { cluster } = this.rig;
    const config = {
      address: address ?? cluster.address,
      caFile: cluster.caFile,
      tokenFile: cluster.tokenFile(holder),
      cacheFile: join(this.#folder, `${name}.json`),
    };
    const mesh = await openConsulMesh(config, log, options);
    const listener = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    const participant = new Participant(mesh, lines, listener);
    this.#participants.push(participant);
    return participant;
  }

  async until(what: string, ask: () => unknown): Promise<void> {
    await waitFor(what, limitMs, async () => ((await ask()) ? true : undefined));
  }

  announceShard(shardId: number, status = finePasses, tags = ["writer"]): void {
    const id = `shard-${shardId}-a`;
    this.shard(shardId).announce("urna-shard", id, { shard: String(shardId), process: `${id}/1` }, status, tags);
  }

  claim(shardId: number, mapEpoch: number, slots: readonly SlotRange[]): void {
    const claim = { deployment: "town", shardId, shardCount: halves.length, mapEpoch, writerEpoch: 1, slots };
    this.shard(shardId).mesh.mapPublisher.claim(claim);
  }

  async storedMap(): Promise<Record<string, unknown>> {
    return (await this.rig.as("viewer").get("/kv/urna/map?raw")) as Record<string, unknown>;
  }

  /** By id. */
  async statusesOf(service: AnnouncedService): Promise<SeenStatus[]> {
    const entries = (await this.rig.as("viewer").get(`/health/service/${service}`)) as {
      Service: { ID: string; Tags: string[]; Meta: Record<string, string> };
      Checks: { CheckID: string; Status: string; Output: string }[];
    }[];
    const seen = entries.map(({ Service: { ID, Tags, Meta }, Checks }) => {
      const check = Checks.find(({ CheckID }) => CheckID === `status:${ID}`);
      return { id: ID, tags: Tags, process: Meta["process"], level: check?.Status, line: check?.Output };
    });
    return seen.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async #begin(): Promise<void> {
    const opening = halves.map((_, id) => this.open("shard", `shard-${id}`, { startsWithoutMap: true }));
    this.#shards.push(...(await Promise.all(opening)));
    for (const [shardId, slots] of halves.entries()) {
      this.announceShard(shardId);
      this.claim(shardId, 1, [slots]);
    }
    [this.#tally, this.#router] = await Promise.all([this.open("tally", "tally"), this.open("router", "router")]);
    const { tally, router } = this;
    tally.announce("urna-tally", "tally", { process: "tally/1" });
    router.announce("urna-router", "router", { process: "router/1" });
    await this.until("the router to know the tally", () => router.mesh.directory.current.tally === tally.address);
  }
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function there(participant: Participant | undefined): Participant {
  if (participant === undefined) throw new Error("nobody of that name is in the story yet");
  return participant;
}
