/**
 * What a command shows on gRPC: the certificate that the environment names (URNA_TLS_…), else the one that endpoints.json
 * names for callers of its run. Opened once a command, and closed at its end.
 */
import { CertificateError } from "#mesh/certificate-files.ts";
import type { Identity } from "#mesh/identity.ts";
import type { TlsConfig } from "#mesh/mesh-config.ts";
import { openTlsIdentity } from "#mesh/tls-identity.ts";
import type { CommandContext } from "./command-context.ts";
import { findEndpoints } from "./endpoints.ts";
import { UsageError } from "./exit-code.ts";

const opened = new WeakMap<CommandContext, Promise<Identity>>();

/**
 * For calls to `server` ("host:port"), or to the run that is known here when that is undefined. Undefined where plaintext is
 * spoken. Throws UsageError when the certificate does not do.
 */
export async function callerIdentity(context: CommandContext, server?: string): Promise<Identity | undefined> {
  const tls = context.config.tls ?? tlsOfRun(context, server);
  if (tls === undefined) return undefined;
  const identity = opened.get(context) ?? openTlsIdentity(tls);
  opened.set(context, identity);
  try {
    return await identity;
  } catch (cause) {
    throw cause instanceof CertificateError ? new UsageError(`the certificate does not do: ${cause.message}`) : cause;
  }
}

export async function closeCallerIdentity(context: CommandContext): Promise<void> {
  const identity = await opened.get(context)?.catch(() => undefined);
  identity?.close();
}

/** A server that is not of the run has nothing to do with its certificates. */
function tlsOfRun({ folder }: CommandContext, server: string | undefined): TlsConfig | undefined {
  const endpoints = findEndpoints(folder);
  const isOfRun = server === undefined || endpoints?.routers.some(({ grpc }) => grpc === server) === true;
  return isOfRun ? endpoints?.tls : undefined;
}
