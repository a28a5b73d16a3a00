/**
 * Who this process is to the others of the mesh: what its connections show, and what they ask of the other end. A mesh
 * without identities speaks plaintext, on loopback only.
 */
import type { ChannelCredentials, ServerCredentials } from "@grpc/grpc-js";

export interface Identity {
  /** spiffe://<deployment>/service/<service>/<name> */
  readonly id: string;
  readonly channelCredentials: ChannelCredentials;
  readonly serverCredentials: ServerCredentials;
  close(): void;
}
