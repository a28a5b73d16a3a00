/**
 * How clients connect with an identity: TLS 1.3, the certificate that is valid now, and a server that must be one of those
 * that were meant, by its SPIFFE id; host names are not asked.
 */
import type { Socket } from "node:net";
import type { PeerCertificate, SecureContext, TLSSocket } from "node:tls";
import { connect } from "node:tls";
import type { experimental } from "@grpc/grpc-js";
import { CallCredentials, ChannelCredentials } from "@grpc/grpc-js";
import { formatSpiffeId, type IdentityKind, type SpiffeId, spiffeIdOf } from "#mesh/spiffe-id.ts";

/** A server that takes connections and says nothing may be frozen, or gone with its machine: grpc-js would wait for ever. */
const handshakeLimitMsDefault = 10_000;

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;
type ConnectResult = Awaited<ReturnType<SecureConnector["connect"]>>;

export type ChannelIdentity = {
  readonly spiffeId: SpiffeId;
  /** With what new connections are made now. */
  readonly clientContext: SecureContext;
  /** "valid from … to …", of the certificate in it. */
  readonly validity: string;
};

export class TlsChannelCredentials extends ChannelCredentials {
  readonly #identity: () => ChannelIdentity;
  readonly #servers: readonly IdentityKind[];
  readonly #handshakeLimitMs: number;

  constructor(
    identity: () => ChannelIdentity,
    servers: readonly IdentityKind[],
    handshakeLimitMs = handshakeLimitMsDefault,
  ) {
    super();
    this.#identity = identity;
    this.#servers = servers;
    this.#handshakeLimitMs = handshakeLimitMs;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    _target: experimental.GrpcUri,
    _options: unknown,
    callCredentials?: CallCredentials,
  ): SecureConnector {
    const forCalls = callCredentials ?? CallCredentials.createEmpty();
    return {
      connect: (socket) => connectSecurely(socket, this.#identity(), this.#servers, this.#handshakeLimitMs),
      waitForReady: async () => {},
      getCallCredentials: () => forCalls,
      destroy: () => {},
    };
  }
}

function connectSecurely(
  socket: Socket,
  identity: ChannelIdentity,
  servers: readonly IdentityKind[],
  limitMs: number,
): Promise<ConnectResult> {
  return new Promise((resolve, reject) => {
    const secured: TLSSocket = connect({
      socket,
      secureContext: identity.clientContext,
      ALPNProtocols: ["h2"],
      rejectUnauthorized: true,
      checkServerIdentity: (_host, certificate) => strangerError(certificate, identity.spiffeId, servers),
    });
    let shaken = false;
    const timer = setTimeout(() => fail(`the server said nothing within ${limitMs} ms`), limitMs);
    const fail = (problem: string) => {
      clearTimeout(timer);
      secured.destroy();
      reject(new Error(`TLS: ${problem}`));
    };
    const onError = (error: NodeJS.ErrnoException) =>
      fail(shaken && error.code === "ECONNRESET" ? refusedProblem(identity) : problemOf(error, identity));
    const onClose = () => fail(shaken ? refusedProblem(identity) : "the server ended the connection in the handshake");
    // In TLS 1.3 a client is done before the server has looked at its certificate. Only its first bytes, which HTTP/2 sends
    // at once, show that the server has accepted it.
    const onReadable = () => {
      if (secured.readableLength === 0) return;
      clearTimeout(timer);
      secured.off("error", onError).off("close", onClose).off("readable", onReadable);
      resolve({ socket: secured, secure: true });
    };
    secured.once("secureConnect", () => {
      shaken = true;
      if (secured.alpnProtocol !== "h2") fail("the server does not speak HTTP/2");
      else secured.on("readable", onReadable);
    });
    secured.on("error", onError).on("close", onClose);
  });
}

/** Undefined for a server that was meant. */
function strangerError(
  { subjectaltname }: Pick<PeerCertificate, "subjectaltname">,
  { deployment }: SpiffeId,
  servers: readonly IdentityKind[],
): Error | undefined {
  const id = spiffeIdOf(subjectaltname);
  if (id === undefined) return new Error(`the server's certificate bears no SPIFFE id of ours: ${subjectaltname}`);
  if (id.deployment !== deployment) return new Error(`the server is of another deployment: ${formatSpiffeId(id)}`);
  if (!servers.includes(id.kind))
    return new Error(`the server is ${formatSpiffeId(id)}, not a ${servers.join(" or ")}`);
  return undefined;
}

function refusedProblem({ spiffeId, validity }: ChannelIdentity): string {
  return (
    `the server refuses this process's certificate (${formatSpiffeId(spiffeId)}, ${validity}); the server's log says why. ` +
    "Are both of one authority, and both machines' clocks right?"
  );
}

function problemOf(error: NodeJS.ErrnoException, identity: ChannelIdentity): string {
  const { code = "", message } = error;
  if (code === "CERT_HAS_EXPIRED") return "the server's certificate has expired, or this machine's clock is wrong";
  if (code === "CERT_NOT_YET_VALID")
    return "the server's certificate is not valid yet, or this machine's clock is wrong";
  if (/SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|CERT_SIGNATURE/.test(code)) {
    return "the server's certificate was issued by another authority than the one that is trusted here";
  }
  if (/alert/.test(message)) return `${refusedProblem(identity)} (${reasonOf(error)})`;
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/.test(code))
    return "the server speaks no TLS: its port is plaintext";
  if (/PROTOCOL_VERSION/.test(code)) return "the server does not speak TLS 1.3";
  if (code === "ECONNRESET") return "the server ended the connection in the handshake: perhaps its port is plaintext";
  return reasonOf(error);
}

/** OpenSSL's messages carry source lines; its reason is enough. */
function reasonOf(error: NodeJS.ErrnoException & { readonly reason?: string }): string {
  return error.reason ?? error.message;
}
