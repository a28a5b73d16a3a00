/**
 * Where a gRPC server takes connections: TLS 1.3 with an identity, else plaintext. What is no good is refused here, with one
 * line in the log, before any of it reaches the server: callers without a certificate of this deployment, plaintext on a TLS
 * port, TLS on a plaintext port.
 */
import { constants } from "node:crypto";
import type { Server as NetServer, Socket } from "node:net";
import { createServer } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import type { Server } from "@grpc/grpc-js";
import { ServerCredentials } from "@grpc/grpc-js";
import { connectionsMax } from "#mesh/grpc-server-options.ts";
import { formatHostPort, type HostPort, parseHostPort } from "#mesh/host-port.ts";
import type { Identity } from "#mesh/identity.ts";
import type { Logger } from "#mesh/log.ts";
import { formatSpiffeId, type SpiffeId, spiffeIdOf } from "#mesh/spiffe-id.ts";

/** A connection that has not said anything by then, or not ended its handshake, is nobody's. */
const helloLimitMsDefault = 10_000;
const handshakeByte = 0x16;
/** What is wrong with one caller is said so often at most, and of all callers so much in that time: names are a stranger's to choose. */
const sayAgainMs = 60_000;
const saidMaxDefault = 1_000;
/** Of a stranger's names, what goes into the log. */
const namesLengthMax = 200;

export type ListenerLimits = { readonly helloLimitMs?: number; readonly saidMax?: number };

type Injector = ReturnType<Server["createConnectionInjector"]>;

export class GrpcListener {
  readonly #injector: Injector;
  readonly #identity: Identity | undefined;
  readonly #log: Logger | undefined;
  readonly #helloLimitMs: number;
  readonly #saidMax: number;
  /** Of the connections there are now, by the address that grpc-js calls a call's peer. */
  readonly #peers = new Map<string, SpiffeId>();
  readonly #waiting = new Set<Socket>();
  /** When what was said; the longest ago first. */
  readonly #said = new Map<string, number>();
  #stopRenewing: (() => void) | undefined;
  #server: NetServer | undefined;
  #stopped = false;

  constructor(
    server: Server,
    identity: Identity | undefined,
    log: Logger | undefined,
    { helloLimitMs = helloLimitMsDefault, saidMax = saidMaxDefault }: ListenerLimits = {},
  ) {
    // Whatever is injected has had its handshake.
    this.#injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#identity = identity;
    this.#log = log;
    this.#helloLimitMs = helloLimitMs;
    this.#saidMax = saidMax;
  }

  /** Port 0 asks for a free one. */
  async listen(address: string): Promise<HostPort> {
    const wanted = parseHostPort(address);
    if (wanted === undefined) throw new Error(`GrpcServer: "${address}" is not host:port`);
    const server = this.#identity === undefined ? this.#plaintextServer() : this.#tlsServer(this.#identity);
    this.#server = server;
    server.maxConnections = connectionsMax;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(wanted.port, wanted.host, () => {
        server.off("error", reject);
        resolve();
      });
    });
    const bound = server.address();
    return { host: wanted.host, port: typeof bound === "object" && bound !== null ? bound.port : wanted.port };
  }

  /** Who is at the other end of the connection of this peer ("address:port"); undefined without identities, or once it has ended. */
  peerOf(peer: string): SpiffeId | undefined {
    return this.#peers.get(peer);
  }

  /** Takes no more connections; those that the server has go on. Resolves when the last of them has ended. */
  async stop(): Promise<void> {
    this.#stopRenewing?.();
    const server = this.#server;
    const ended = new Promise<void>((resolve) => {
      if (server === undefined) resolve();
      else server.close(() => resolve());
    });
    for (const socket of this.#waiting) socket.destroy();
    // A handshake that ends only now would become a connection that nobody has said GOAWAY to.
    this.#stopped = true;
    await ended;
  }

  #plaintextServer(): NetServer {
    return createServer({ noDelay: true }, (socket) => {
      this.#waiting.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => this.#waiting.delete(socket));
      socket.setTimeout(this.#helloLimitMs, () => socket.destroy());
      socket.once("readable", () => this.#hear(socket));
    });
  }

  /** The first bytes of a caller say what it speaks; HTTP/2 reads them again. */
  #hear(socket: Socket): void {
    const hello: Buffer | null = socket.read();
    if (hello === null || hello[0] === handshakeByte) {
      if (hello !== null)
        this.#say(socket, "it speaks TLS, and this process has no certificate: its port is plaintext");
      socket.destroy();
      return;
    }
    this.#waiting.delete(socket);
    socket.setTimeout(0);
    socket.removeAllListeners("timeout");
    socket.unshift(hello);
    this.#injector.injectConnection(socket);
  }

  #tlsServer(identity: Identity): TlsServer {
    // Without tickets each connection is checked by itself: by a certificate that is good now, and the authorities of now.
    const context = () => ({ ...identity.secureContext, secureOptions: constants.SSL_OP_NO_TICKET });
    const server = createTlsServer({
      ...context(),
      requestCert: true,
      // Node would cut a connection with a bad certificate without a word of whose it was; #admit does it with one.
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
      handshakeTimeout: this.#helloLimitMs,
      noDelay: true,
    });
    this.#stopRenewing = identity.onRenewal(() => server.setSecureContext(context()));
    server.on("tlsClientError", (error, socket) => {
      const problem = handshakeProblem(error);
      if (problem !== undefined) this.#say(socket, problem);
      // Node ends failed handshakes by itself, but merely tells of those that last too long.
      socket.destroy();
    });
    server.on("secureConnection", (socket) => this.#admit(socket, identity));
    return server;
  }

  /** Nothing that a caller sends is read unless this lets it in. */
  #admit(socket: TLSSocket, identity: Identity): void {
    socket.on("error", () => {});
    const caller = callerOf(socket, identity.spiffeId.deployment);
    if (!socket.authorized || "problem" in caller) {
      this.#say(socket, "problem" in caller ? caller.problem : "its certificate is not good");
      socket.destroy();
      return;
    }
    const { id } = caller;
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    const other = this.#peers.get(peer);
    // Calls are known by this alone, and two may share it: each on another address of ours.
    if (other !== undefined && formatSpiffeId(other) !== formatSpiffeId(id)) {
      this.#say(socket, `${formatSpiffeId(other)} is connected from the same port`);
      socket.destroy();
      return;
    }
    this.#peers.set(peer, id);
    socket.once("close", () => {
      // The same port may have come back already.
      if (this.#peers.get(peer) === id) this.#peers.delete(peer);
    });
    if (this.#stopped) socket.destroy();
    else this.#injector.injectConnection(socket);
  }

  #say(socket: Socket, problem: string): void {
    const { remoteAddress = "", remotePort = 0 } = socket;
    const [now, key] = [performance.now(), `${remoteAddress} ${problem}`];
    for (const [said, atMs] of this.#said) {
      if (now - atMs < sayAgainMs) break;
      this.#said.delete(said);
    }
    if (this.#said.has(key) || this.#said.size >= this.#saidMax) return;
    this.#said.set(key, now);
    const from = formatHostPort({ host: remoteAddress, port: remotePort });
    this.#log?.warn({ from }, `a connection was refused: ${problem}`);
  }
}

/** Who is at the other end, or why it is nobody of ours. */
function callerOf(socket: TLSSocket, deployment: string): { readonly id: SpiffeId } | { readonly problem: string } {
  const { subjectaltname, valid_from, valid_to, raw } = socket.getPeerCertificate();
  const names = String(subjectaltname).slice(0, namesLengthMax);
  if (raw === undefined) return { problem: "it showed no certificate" };
  if (!socket.authorized) {
    const code = String(socket.authorizationError);
    const whose = `its certificate (${names})`;
    if (code === "CERT_HAS_EXPIRED") return { problem: `${whose} has expired at ${valid_to}, or a clock is wrong` };
    if (code === "CERT_NOT_YET_VALID")
      return { problem: `${whose} is not valid before ${valid_from}, or a clock is wrong` };
    if (/SELF_SIGNED|UNABLE_TO_|CERT_SIGNATURE/.test(code)) return { problem: `${whose} is of another authority` };
    return { problem: `${whose} is not good: ${code}` };
  }
  const id = spiffeIdOf(subjectaltname);
  if (id === undefined) return { problem: `its certificate bears no SPIFFE id of ours, only "${names}"` };
  if (id.deployment !== deployment) return { problem: `it is of another deployment: ${formatSpiffeId(id)}` };
  return socket.alpnProtocol === "h2" ? { id } : { problem: "it does not speak HTTP/2" };
}

/** Undefined for callers that merely left, as those do who look whether somebody listens. */
function handshakeProblem(error: Error & { readonly code?: string; readonly reason?: string }): string | undefined {
  const { code = "", reason = error.message } = error;
  if (/HTTP_REQUEST|WRONG_VERSION_NUMBER|PACKET_LENGTH|BAD_RECORD_TYPE|UNEXPECTED_MESSAGE/.test(code)) {
    return "it speaks plaintext, and this port is TLS";
  }
  if (/UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW/.test(code)) return "it does not speak TLS 1.3";
  if (/ALERT/.test(code)) return `it refuses this process's certificate: ${reason}`;
  if (/^E(CONNRESET|PIPE)$/.test(code)) return undefined;
  return `the TLS handshake failed: ${reason}`;
}
