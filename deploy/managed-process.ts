/** What a supervisor can start, restart and stop: a Postgres server or a service. */
import type { LoggedProcess } from "./logged-process.ts";

export interface ManagedProcess {
  /** Unique in the cluster, for example shard-0-a or shard-0-primary. */
  readonly name: string;
  readonly logFile: string;
  /** Starts it; resolves when it runs, for Postgres when it accepts connections. */
  start(): Promise<LoggedProcess>;
  /** Stops it in order, then by force; resolves when it has ended. */
  stop(running: LoggedProcess): Promise<void>;
}
