/** The router that a command talks to, and the admin token where it needs one. */
import { readFileSync } from "node:fs";
import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { parseHostPort } from "#mesh/host-port.ts";
import type { Identity } from "#mesh/identity.ts";
import { RetryBudget } from "#mesh/retry-budget.ts";
import { deadlineDefaultMs } from "#proto/limits.ts";
import { callerIdentity } from "./caller-identity.ts";
import type { AdminOptions, CommandContext, CommonOptions } from "./command-context.ts";
import type { Endpoints } from "./endpoints.ts";
import { findEndpoints } from "./endpoints.ts";
import { UnreachableError, UsageError } from "./exit-code.ts";
import { firstReachable } from "./reachable.ts";

/** Milliseconds that a unary call of a command may take. */
export const callDeadlineMs = deadlineDefaultMs;

/** How long a call may take, and what ends it before. */
export type CallLimits = { readonly deadlineMs: number; readonly signal: AbortSignal };

/** Those of a unary call that waits for nothing. */
export function callLimits({ signal }: CommandContext): CallLimits {
  return { deadlineMs: callDeadlineMs, signal };
}

/**
 * Calls `use` with a client of the service on the first router that answers; closes it afterwards. What passes is tried again
 * within the call's time.
 */
export async function withClient<S extends DescService, Result>(
  service: S,
  options: CommonOptions,
  context: CommandContext,
  use: (client: Client<S>) => Promise<Result>,
): Promise<Result> {
  const { address, identity } = await findRouter(options, context);
  const client = createClient(service, address, identity, { retry: new RetryBudget() });
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** Where a router listens, and what is shown to it. */
export type RouterAddress = { readonly address: string; readonly identity: Identity | undefined };

/** A router that accepts connections. */
export async function findRouter({ server }: CommonOptions, context: CommandContext): Promise<RouterAddress> {
  return { address: await routerAddress(server, context), identity: await callerIdentity(context, server) };
}

async function routerAddress(server: string | undefined, { folder }: CommandContext): Promise<string> {
  if (server !== undefined) {
    if (parseHostPort(server) === undefined) throw new UsageError(`--server ${server} is not HOST:PORT`);
    if ((await firstReachable([server])) !== undefined) return server;
    throw new UnreachableError(`nothing answers at ${server}: check the address, or start Urna there`);
  }
  const endpoints = nearestEndpoints(folder);
  const address = await firstReachable(endpoints.routers.map(({ grpc }) => grpc));
  if (address !== undefined) return address;
  throw new UnreachableError(
    `no router of ${endpoints.file} answers: start Urna again with "npm start", or give --server HOST:PORT`,
  );
}

/** Throws UnreachableError when no run of Urna is known here. */
export function nearestEndpoints(folder: string): Endpoints {
  const endpoints = findEndpoints(folder);
  if (endpoints !== undefined) return endpoints;
  throw new UnreachableError(
    `no .urna/endpoints.json here or above ${folder}: start Urna with "npm start", or give --server HOST:PORT`,
  );
}

/** The header of calls that change elections. */
export function adminHeaders(options: AdminOptions, context: CommandContext): Record<string, string> {
  return { authorization: `Bearer ${adminToken(options, context)}` };
}

function adminToken({ adminTokenFile }: AdminOptions, { config, folder }: CommandContext): string {
  if (adminTokenFile === undefined && config.adminToken !== undefined) return config.adminToken;
  const file = adminTokenFile ?? findEndpoints(folder)?.adminTokenFile;
  if (file === undefined) {
    throw new UsageError("no admin token is known here: give --admin-token-file FILE, or set URNA_ADMIN_TOKEN");
  }
  try {
    return readFileSync(file, "utf8").trim();
  } catch (cause) {
    throw new UsageError(`the admin token cannot be read: ${(cause as Error).message}`);
  }
}
