/** The services that the page reads, all from the router that served it; and what their refusals mean to a reader. */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { ErrorInfoSchema } from "#proto/generated/google/rpc/error_details_pb.js";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { MeshService } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";

/** Deadline of the page's unary calls. */
export const callTimeoutMs = 5_000;

export function openClients(baseUrl: string) {
  const transport = createConnectTransport({ baseUrl, useBinaryFormat: true });
  return {
    elections: createClient(ElectionService, transport),
    tally: createClient(TallyService, transport),
    mesh: createClient(MeshService, transport),
  };
}

export type Clients = ReturnType<typeof openClients>;

/** The catalogue id, where the server gave one. */
export function rejectionReason(error: unknown): string | undefined {
  return ConnectError.from(error).findDetails(ErrorInfoSchema)[0]?.reason;
}

/** Whether the server does not offer the call at all. */
export function isUnimplemented(error: unknown): boolean {
  return ConnectError.from(error).code === Code.Unimplemented;
}

/** Half a sentence: why the newest numbers are not there. */
export function describeFailure(error: unknown): string {
  if (error === undefined) return "the connection ended";
  if (rejectionReason(error) !== undefined) return ConnectError.from(error).rawMessage;
  return "the server cannot be reached";
}
