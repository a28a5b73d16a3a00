/** Keeps the registry told how a process stands: once a second, and at once when something has changed. */
import type { Announcement, Announcer, ServiceStatus } from "#mesh/announcer.ts";
import type { HostPort } from "#mesh/host-port.ts";
import { releaseVersion } from "#mesh/release.ts";

const everyMs = 1_000;
const numbers = new Intl.NumberFormat("en-US");

export type Standing = { readonly announcement: Announcement; readonly status: ServiceStatus };

export class Announcing {
  readonly #announcer: Announcer;
  readonly #describe: () => Standing;
  readonly #timer: NodeJS.Timeout;

  constructor(announcer: Announcer, describe: () => Standing) {
    this.#announcer = announcer;
    this.#describe = describe;
    this.#timer = setInterval(() => this.tell(), everyMs);
    this.tell();
  }

  /** To be called when something has changed that cannot wait. */
  tell(): void {
    const { announcement, status } = this.#describe();
    this.#announcer.announce(announcement, status);
  }

  /** The first step of a drain: whoever looks for the service no longer finds this process. */
  async withdraw(): Promise<void> {
    clearInterval(this.#timer);
    await this.#announcer.withdraw();
  }
}

/** What every service says of itself besides its status. `others` are its other servers, by use. */
export function serviceMeta(others: Readonly<Record<string, HostPort>>): Record<string, string> {
  const ports = Object.entries(others).map(([use, { port }]) => [`${use}_port`, String(port)]);
  return { version: releaseVersion, ...Object.fromEntries(ports) };
}

/** The worst first; of one level the line names all. A service that nothing troubles says `well`. */
export function statusOf(
  prefix: string,
  troubles: readonly { readonly level: "warning" | "critical"; readonly line: string }[],
  well: string,
): ServiceStatus {
  const critical = troubles.filter(({ level }) => level === "critical");
  const worst = critical.length > 0 ? critical : troubles;
  const level = critical.length > 0 ? "critical" : troubles.length > 0 ? "warning" : "passing";
  const lines = [...worst.map(({ line }) => line), well].filter((line) => line !== "");
  return { level, line: `${prefix}: ${lines.join("; ")}` };
}

/** "8,123" */
export function grouped(n: number): string {
  return numbers.format(n);
}
