/**
 * Who this process is to the others of the mesh: what its connections show, and what they ask of the other end. A mesh
 * without identities speaks plaintext, on loopback only.
 */
import type { SecureContextOptions } from "node:tls";
import type { ChannelCredentials } from "@grpc/grpc-js";
import type { IdentityKind, SpiffeId } from "#mesh/spiffe-id.ts";

export interface Identity {
  /** spiffe://<deployment>/service/<service>/<name> */
  readonly id: string;
  readonly spiffeId: SpiffeId;
  /** Why an operator should look at the certificate; empty when nothing is wrong with it. */
  readonly trouble: string;
  /** Until the certificate in use expires; negative afterwards. */
  readonly secondsLeft: number;
  /** For connections to servers that are one of these, of the same deployment. */
  channelCredentials(servers: readonly IdentityKind[]): ChannelCredentials;
  /** What a server shows to new connections now. */
  readonly secureContext: SecureContextOptions;
  /** Calls the listener when new connections shall be shown another certificate; returns how to stop it. */
  onRenewal(listener: () => void): () => void;
  close(): void;
}
