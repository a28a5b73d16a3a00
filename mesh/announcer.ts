/** What a process tells the registry about itself, for operators and for those who look for it. */

export type AnnouncedService = "urna-router" | "urna-shard" | "urna-tally" | "urna-postgres";

export type ServiceStatus = {
  /** critical: it does not do its work; warning: an operator should look. */
  readonly level: "passing" | "warning" | "critical";
  /** One line that an operator can act on: "shard 1: writing, batch 8,123, standby in sync 0 B behind, …". */
  readonly line: string;
};

export type Announcement = {
  readonly service: AnnouncedService;
  /** Of this instance, unique in the deployment and the same after a restart: "router-0", "shard-0-a". */
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** "shard-0", "writer", "spare", "primary", "standby". */
  readonly tags: readonly string[];
  /** version, shard, epoch, process, ports of the other servers. */
  readonly meta: Readonly<Record<string, string>>;
};

export interface Announcer {
  /** Registers, or changes what is registered; the latest wins, and it is registered again where a registry forgot it. Never throws. */
  announce(announcement: Announcement, status: ServiceStatus): void;
  /** Takes everything back that was announced; the first step of a drain. Resolves soon, also without a registry. */
  withdraw(): Promise<void>;
}

/** Of a mesh without a registry. */
export const silentAnnouncer: Announcer = { announce: () => {}, withdraw: async () => {} };
