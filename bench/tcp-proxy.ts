/**
 * A TCP proxy on loopback for fault tests, between a shard node and its Postgres, a standby and its primary, or a router
 * and a shard node. It freezes, delays and cuts; and on a Postgres connection it stops exactly the COMMIT before the
 * server reads it, or the answer after the server has committed. The test holds the strings: nothing happens by itself.
 */
import type { AddressInfo, Server, Socket } from "node:net";
import { connect, createServer } from "node:net";
import { PostgresConversation } from "#bench/postgres-wire.ts";
import { ProxyLane } from "#bench/proxy-lane.ts";

export type ProxyTarget = { readonly host: string; readonly port: number };

export type ProxyOptions = {
  readonly target: ProxyTarget;
  /** Port on 127.0.0.1; default: a free one. */
  readonly port?: number;
  /** "bytes" passes anything on and cannot hold a COMMIT; default "postgres". */
  readonly protocol?: "postgres" | "bytes";
};

/** What to stop: the COMMIT on its way to the server, or its answer, which proves that the server has executed it. */
export type HoldPoint = "commit" | "commit-answer";

export type HoldRequest = {
  readonly what: HoldPoint;
  /** Only a transaction with such a statement, for example /COPY urna\.votes_/; without it the next one. */
  readonly containing?: RegExp;
};

/** A message that was stopped. Everything else on its connection in that direction waits behind it. */
export type Held = {
  readonly what: HoldPoint;
  /** The statements of the transaction, the COMMIT included. */
  readonly statements: readonly string[];
  /** The command tag of a held answer: "COMMIT" or "ROLLBACK". */
  readonly tag: string | undefined;
  /** The server's process for this connection, to be signalled. */
  readonly backendPid: number | undefined;
  /** Passes the message on. After `cutClient` the server gets the COMMIT, and its answer goes nowhere. */
  release(): void;
  /** Closes both sides: a held COMMIT never reaches the server, a held answer never reaches the client. */
  cut(): void;
  /** Closes the client's side only: the server knows nothing of it, and a held COMMIT can still be released to it. */
  cutClient(): void;
};

type Hold = HoldRequest & { readonly resolve: (held: Held) => void };

export class TcpProxy {
  readonly #server: Server;
  readonly #options: ProxyOptions;
  readonly #connections = new Set<ProxiedConnection>();
  readonly #holds = new Set<Hold>();
  #frozen = false;
  #refusing = false;
  #delayMs = 0;

  private constructor(options: ProxyOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => this.#accept(client));
  }

  static async listen(options: ProxyOptions): Promise<TcpProxy> {
    const proxy = new TcpProxy(options);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(options.port ?? 0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get host(): string {
    return "127.0.0.1";
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Resolves when such a message was stopped. A hold that is not met yet stays until `forgetHolds` or `close`. */
  holdNext(request: HoldRequest): Promise<Held> {
    return new Promise((resolve) => this.#holds.add({ ...request, resolve }));
  }

  /** Nothing is stopped that has not been stopped yet. */
  forgetHolds(): void {
    this.#holds.clear();
  }

  /** Nothing passes in either direction, and no side is told: the other machine is frozen or the cable is out. */
  freeze(): void {
    this.#frozen = true;
    for (const connection of this.#connections) connection.freeze();
  }

  thaw(): void {
    this.#frozen = false;
    for (const connection of this.#connections) connection.thaw();
  }

  /** Everything that arrives from now on is passed on this much later. 0 ends it. */
  delay(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /** Closes every connection; new ones are accepted. */
  cutAll(): void {
    for (const connection of this.#connections) connection.cut();
  }

  /** Closes every connection and every new one at once, until `heal`. */
  partition(): void {
    this.#refusing = true;
    this.cutAll();
  }

  heal(): void {
    this.#refusing = false;
  }

  async close(): Promise<void> {
    this.#holds.clear();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cutAll();
    await closed;
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.on("error", () => undefined);
      client.resetAndDestroy();
      return;
    }
    const { target, protocol = "postgres" } = this.#options;
    const connection = new ProxiedConnection(client, connect({ ...target, noDelay: true, allowHalfOpen: true }), {
      conversation: protocol === "postgres" ? new PostgresConversation() : undefined,
      delayMs: () => this.#delayMs,
      holdFor: (what, statements) => this.#holdFor(what, statements),
      onClosed: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
    if (this.#frozen) connection.freeze();
  }

  #holdFor(what: HoldPoint, statements: readonly string[]): Hold | undefined {
    for (const hold of this.#holds) {
      const { containing } = hold;
      const fits = containing === undefined || statements.some((statement) => containing.test(statement));
      if (hold.what !== what || !fits) continue;
      this.#holds.delete(hold);
      return hold;
    }
    return undefined;
  }
}

type ConnectionOptions = {
  readonly conversation: PostgresConversation | undefined;
  readonly delayMs: () => number;
  readonly holdFor: (what: HoldPoint, statements: readonly string[]) => Hold | undefined;
  readonly onClosed: () => void;
};

class ProxiedConnection {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #toServer: ProxyLane;
  readonly #toClient: ProxyLane;
  readonly #options: ConnectionOptions;
  #clientTakenAway = false;

  constructor(client: Socket, server: Socket, options: ConnectionOptions) {
    this.#client = client;
    this.#server = server;
    this.#options = options;
    this.#toServer = new ProxyLane(client, server);
    this.#toClient = new ProxyLane(server, client);
    client.on("data", (chunk: Buffer) => this.#fromClient(chunk));
    server.on("data", (chunk: Buffer) => this.#fromServer(chunk));
    client.on("end", () => this.#toServer.end());
    server.on("end", () => this.#serverEnded());
    // A reset of one side is passed on as the end of the other, unless the test has taken the client away on purpose.
    client.on("close", () => this.#clientClosed());
    server.on("close", () => this.cut());
    for (const socket of [client, server]) socket.on("error", () => undefined);
  }

  freeze(): void {
    this.#toServer.freeze();
    this.#toClient.freeze();
  }

  thaw(): void {
    this.#toServer.thaw();
    this.#toClient.thaw();
  }

  cut(): void {
    this.#client.destroy();
    this.#server.destroy();
    this.#options.onClosed();
  }

  #serverEnded(): void {
    if (this.#clientTakenAway) this.cut();
    else this.#toClient.end();
  }

  #clientClosed(): void {
    if (!this.#clientTakenAway) this.cut();
  }

  #cutClient(): void {
    this.#clientTakenAway = true;
    this.#client.destroy();
    // Nobody reads the server's answers any more; they must not stop it.
    this.#server.removeAllListeners("data");
    this.#server.resume();
  }

  #fromClient(chunk: Buffer): void {
    const { conversation, delayMs } = this.#options;
    if (conversation === undefined) {
      this.#toServer.push(chunk, delayMs(), () => "pass");
      return;
    }
    conversation.fromClient.push(chunk);
    for (;;) {
      // Noted at once: whether the next message has a type byte depends on it.
      const message = conversation.fromClient.next();
      if (message === undefined) return;
      const commit = conversation.clientSends(message);
      this.#toServer.push(message.bytes, delayMs(), () => this.#meetCommit(commit));
    }
  }

  #meetCommit(statements: readonly string[] | undefined): "pass" | "stop" {
    if (statements === undefined) return "pass";
    return this.#hold("commit", statements, undefined, this.#toServer);
  }

  #fromServer(chunk: Buffer): void {
    const { conversation, delayMs } = this.#options;
    if (conversation === undefined) {
      this.#toClient.push(chunk, delayMs(), () => "pass");
      return;
    }
    conversation.fromServer.push(chunk);
    for (;;) {
      const message = conversation.fromServer.next();
      if (message === undefined) return;
      const answer = conversation.serverSends(message);
      this.#toClient.push(message.bytes, delayMs(), () => this.#meetAnswer(answer));
    }
  }

  #meetAnswer(answer: { statements: readonly string[]; tag: string } | undefined): "pass" | "stop" {
    if (answer === undefined) return "pass";
    return this.#hold("commit-answer", answer.statements, answer.tag, this.#toClient);
  }

  #hold(what: HoldPoint, statements: readonly string[], tag: string | undefined, lane: ProxyLane): "pass" | "stop" {
    const hold = this.#options.holdFor(what, statements);
    if (hold === undefined) return "pass";
    hold.resolve({
      what,
      statements,
      tag,
      backendPid: this.#options.conversation?.backendPid,
      release: () => lane.go(),
      cut: () => this.cut(),
      cutClient: () => this.#cutClient(),
    });
    return "stop";
  }
}
