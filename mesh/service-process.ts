/** The life of a service's process: opens it, waits until it should stop, drains it, exits. */
import type { Logger } from "#mesh/log.ts";
import { createLogger } from "#mesh/log.ts";

/** A process that has not drained by then is beyond help: it exits, and crash safety takes over. */
const drainLimitMs = 9_500;

export type ServiceLife = {
  readonly log: Logger;
  /** Begins the drain, as SIGTERM does. */
  stop(reason: string): void;
  /** Ends the process at once with code 1: for faults that leave no safe way on. */
  fail(cause: unknown): never;
};

export type DrainableService = { drain(): Promise<void> };

/**
 * Runs a service until SIGTERM, SIGINT or the end of the parent's IPC channel. Exits 0 after a drain, 1 when the service
 * could not be opened, crashed, or did not drain within the limit.
 */
export async function runService(
  name: string,
  open: (life: ServiceLife) => Promise<DrainableService>,
  log: Logger = createLogger(name),
): Promise<void> {
  const stopping = Promise.withResolvers<string>();
  const fail = (cause: unknown): never => {
    log.fatal({ err: cause }, "the process ends");
    process.exit(1);
  };
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);
  process.on("SIGTERM", () => stopping.resolve("SIGTERM"));
  process.on("SIGINT", () => stopping.resolve("SIGINT"));
  // The launcher holds the other end of the channel: when it dies, nobody would stop this process.
  if (process.send !== undefined) process.on("disconnect", () => stopping.resolve("the parent process is gone"));
  // Whoever read our output may be gone already; that must not keep the service from draining.
  process.stdout.on("error", () => {});
  const service = await open({ log, stop: stopping.resolve, fail }).catch(fail);
  const reason = await stopping.promise;
  log.info({ reason }, "draining");
  const limit = setTimeout(() => fail(new Error(`not drained within ${drainLimitMs} ms`)), drainLimitMs);
  await service.drain().catch(fail);
  clearTimeout(limit);
  log.info("drained");
  process.exit(0);
}
