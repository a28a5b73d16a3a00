/**
 * Which port everything listens on. Without --port-base:
 *
 *   router-0   gRPC 50051, Connect and results page 8080      tally   gRPC 50052, Connect 8081
 *   router-i   gRPC 50060 + i, Connect 8090 + i               shard s, node n (a = 0, b = 1)   gRPC 50100 + 10 s + n
 *   Postgres of shard s: primary 54400 + 2 s, standby 54401 + 2 s
 *   metrics: routers 9600 + i, tally 9590, shard nodes 9700 + 10 s + n
 *   Consul's agent: API and UI 8501, gossip 8301; its server i: RPC 8310 + i, gossip 8320 + i, API 8511 + i
 *   Redis 6380
 *
 * With --port-base N they are consecutive from N on, in the order of `portNames`; with 0 they are free ones, which a
 * later start in the same folder takes again where it can.
 */
import type { Server } from "node:net";
import { createServer } from "node:net";
import { loopback } from "./postgres-settings.ts";

/** A process and what it listens for, for example "router-0.grpc". */
export type PortName = string;

export type ClusterShape = { readonly shards: number; readonly routers: number; readonly nodesPerShard: number };

const portMax = 65_535;
const free = { first: 20_000, count: 12_000, attemptsMax: 1_000 } as const;

export const nodeLetter = (node: number) => String.fromCharCode("a".charCodeAt(0) + node);

export function portNames({ shards, routers, nodesPerShard }: ClusterShape): PortName[] {
  const names: PortName[] = [];
  const add = (process: string, uses: readonly string[]) => names.push(...uses.map((use) => `${process}.${use}`));
  for (let i = 0; i < routers; i++) add(`router-${i}`, ["grpc", "connect", "metrics"]);
  add("tally", ["grpc", "connect", "metrics"]);
  for (let s = 0; s < shards; s++) {
    for (let n = 0; n < nodesPerShard; n++) add(`shard-${s}-${nodeLetter(n)}`, ["grpc", "metrics"]);
    add(`shard-${s}-primary`, ["postgres"]);
    add(`shard-${s}-standby`, ["postgres"]);
  }
  return names;
}

export function defaultPort(name: PortName): number {
  const [process = "", use = ""] = name.split(".");
  const [kind = "", first = "0", second = ""] = process.split("-");
  const index = Number(first);
  if (kind === "tally") return { grpc: 50052, connect: 8081, metrics: 9590 }[use] ?? unknown(name);
  if (kind === "router") {
    const zero = index === 0;
    return (
      { grpc: zero ? 50051 : 50060 + index, connect: zero ? 8080 : 8090 + index, metrics: 9600 + index }[use] ??
      unknown(name)
    );
  }
  if (kind === "redis") return { redis: 6380 }[use] ?? unknown(name);
  if (kind === "consul") return consulPort(first, Number(second), use) ?? unknown(name);
  if (second === "primary") return 54400 + 2 * index;
  if (second === "standby") return 54401 + 2 * index;
  const node = second.charCodeAt(0) - "a".charCodeAt(0);
  return { grpc: 50100 + 10 * index + node, metrics: 9700 + 10 * index + node }[use] ?? unknown(name);
}

/** Where people look for them: the agent has Consul's own ports. */
function consulPort(role: string, index: number, use: string): number | undefined {
  if (role === "agent") return { https: 8501, serf: 8301 }[use];
  return { rpc: 8310 + index, serf: 8320 + index, https: 8511 + index }[use];
}

function unknown(name: PortName): never {
  throw new Error(`there is no port named ${name}`);
}

export class PortInUseError extends Error {
  constructor(name: PortName, port: number) {
    super(
      `port ${port} (${name.replace(".", ", ")}) is in use; choose others with --port-base N, or free ones with --port-base 0`,
    );
    this.name = "PortInUseError";
  }
}

/** Ports that are ours: held open until the process that listens on them starts. */
export class HeldPorts {
  readonly ports: Readonly<Record<PortName, number>>;
  readonly #holders: Map<PortName, Server>;

  private constructor(holders: Map<PortName, Server>, ports: Readonly<Record<PortName, number>>) {
    this.#holders = holders;
    this.ports = ports;
  }

  /** `base` undefined: the defaults; 0: free ones, `earlier` where possible. Throws PortInUseError. */
  static async take(
    names: readonly PortName[],
    base: number | undefined,
    earlier: Readonly<Record<PortName, number>> = {},
  ): Promise<HeldPorts> {
    if (base !== undefined && base + names.length > portMax) {
      throw new RangeError(`--port-base ${base}: ${names.length} ports from there on are beyond ${portMax}`);
    }
    const holders = new Map<PortName, Server>();
    const ports: Record<PortName, number> = {};
    const held = new HeldPorts(holders, ports);
    try {
      for (const [position, name] of names.entries()) {
        const { holder, port } =
          base === 0
            ? await takeFree(earlier[name])
            : await takeFixed(name, base === undefined ? defaultPort(name) : base + position);
        holders.set(name, holder);
        ports[name] = port;
      }
      return held;
    } catch (error) {
      await held.releaseAll();
      throw error;
    }
  }

  /** Lets go of the ports of one process, which is about to start. */
  async release(process: string): Promise<void> {
    for (const [name, holder] of this.#holders) {
      if (!name.startsWith(`${process}.`)) continue;
      this.#holders.delete(name);
      await new Promise((resolve) => holder.close(resolve));
    }
  }

  async releaseAll(): Promise<void> {
    for (const name of [...this.#holders.keys()]) await this.release(name.slice(0, name.indexOf(".")));
  }

  /** "host:port" of this name. */
  address(name: PortName): string {
    return `${loopback}:${this.ports[name] ?? unknown(name)}`;
  }
}

type Held = { readonly holder: Server; readonly port: number };

async function takeFixed(name: PortName, port: number): Promise<Held> {
  const holder = await listen(port);
  if (holder === undefined) throw new PortInUseError(name, port);
  return { holder, port };
}

/** Below the range that the system gives to outgoing connections, which would take a port between two starts. */
async function takeFree(earlier: number | undefined): Promise<Held> {
  for (let attempt = 0; attempt < free.attemptsMax; attempt++) {
    const random = free.first + Math.floor(Math.random() * free.count);
    const port = attempt === 0 ? (earlier ?? random) : random;
    const holder = await listen(port);
    if (holder !== undefined) return { holder, port };
  }
  throw new Error(`no free port from ${free.first} to ${free.first + free.count - 1}`);
}

function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("listening", () => resolve(server));
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(undefined);
      else reject(error);
    });
    server.listen({ port, host: loopback, exclusive: true });
  });
}
