/**
 * Keeps this process registered with the agent of its machine, and its status line told: at once when its level changes,
 * at most once a second, and often enough that Consul does not take silence for a fault. An agent that has forgotten the
 * process, because it was wiped, learns of it again with the next status.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Announcement, Announcer, ServiceStatus } from "#mesh/announcer.ts";
import type { Logger } from "#mesh/log.ts";
import { within } from "#mesh/time-limit.ts";
import type { CallOptions, ConsulClient } from "./consul-client.ts";
import { ConsulError } from "./consul-client.ts";
import type { ConsulTrouble } from "./consul-trouble.ts";
import { RetryPause } from "./retry-pause.ts";
import { registrationOf, statusCheckId, statusTtlMs } from "./service-registration.ts";

type Wanted = { readonly announcement: Announcement; readonly status: ServiceStatus };

const tellEveryMsMin = 1_000;
const tellEveryMsMax = statusTtlMs / 3;
const withdrawLimitMs = 1_000;
const lineLengthMax = 500;

const what = "a place in the registry";

export class ConsulAnnouncer implements Announcer {
  readonly #client: ConsulClient;
  readonly #log: Logger;
  readonly #trouble: ConsulTrouble;
  readonly #ending = new AbortController();
  readonly #pause = new RetryPause();
  #wanted: Wanted | undefined;
  /** What the agent holds, as far as is known. */
  #registered = "";
  #told: (ServiceStatus & { readonly atMs: number }) | undefined;
  #wake: () => void = () => undefined;
  #running: Promise<void> | undefined;

  constructor(client: ConsulClient, trouble: ConsulTrouble, log: Logger) {
    this.#client = client;
    this.#log = log;
    this.#trouble = trouble;
  }

  /** After `withdraw` nothing is announced any more. */
  announce(announcement: Announcement, status: ServiceStatus): void {
    if (this.#ending.signal.aborted) return;
    this.#wanted = { announcement, status: { ...status, line: status.line.slice(0, lineLengthMax) } };
    this.#wake();
    this.#running ??= this.#run(this.#ending.signal);
  }

  async withdraw(): Promise<void> {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort();
    this.#wake();
    await within(withdrawLimitMs, this.#deregister());
  }

  /** Without a word to the registry, where this process is then unreachable soon. */
  close(): void {
    this.#ending.abort();
    this.#wake();
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      try {
        await this.#bringUpToDate();
        this.#pause.reset();
        this.#trouble.worked(what);
        await this.#nextTurn(woken.promise);
      } catch (error) {
        if (signal.aborted) return;
        await this.#recover(error as Error);
      }
    }
  }

  async #bringUpToDate(): Promise<void> {
    if (this.#wanted === undefined) return;
    const { announcement, status } = this.#wanted;
    const described = JSON.stringify(announcement);
    if (described !== this.#registered) {
      const registration = registrationOf(announcement, status);
      await this.#client.change((consul, options) => consul.agent.service.register({ ...registration, ...options }));
      this.#registered = described;
      this.#told = undefined;
    }
    if (this.#isDue(status)) await this.#tell(announcement.id, status);
  }

  #isDue(status: ServiceStatus): boolean {
    const told = this.#told;
    if (told === undefined) return true;
    const isNews = told.level !== status.level || told.line !== status.line;
    return performance.now() - told.atMs >= (isNews ? tellEveryMsMin : tellEveryMsMax) - 1;
  }

  async #tell(id: string, status: ServiceStatus): Promise<void> {
    const atMs = performance.now();
    await this.#client.change((consul, options: CallOptions) => {
      const update = { id: statusCheckId(id), note: status.line, ...options };
      switch (status.level) {
        case "passing":
          return consul.agent.check.pass(update);
        case "warning":
          return consul.agent.check.warn(update);
        case "critical":
          return consul.agent.check.fail(update);
      }
    });
    this.#told = { ...status, atMs };
  }

  /** Until something is to be told, or told again. */
  async #nextTurn(woken: Promise<void>): Promise<void> {
    const sinceMs = performance.now() - (this.#told?.atMs ?? 0);
    await within(tellEveryMsMax - sinceMs, woken);
    const earlyMs = tellEveryMsMin - (performance.now() - (this.#told?.atMs ?? 0));
    if (earlyMs <= 0 || this.#ending.signal.aborted || this.#isUnregistered()) return;
    await delay(earlyMs, undefined, { signal: this.#ending.signal }).catch(() => undefined);
  }

  #isUnregistered(): boolean {
    return this.#wanted !== undefined && JSON.stringify(this.#wanted.announcement) !== this.#registered;
  }

  async #recover(error: Error): Promise<void> {
    const failure = error instanceof ConsulError ? error : new ConsulError("failed", error.message);
    // Whatever the agent holds now, it is told everything again.
    this.#registered = "";
    this.#told = undefined;
    if (failure.kind === "missing")
      this.#log.info("the agent of Consul has forgotten this process: it registers again");
    else this.#trouble.failed(what, failure);
    await this.#pause.wait(this.#ending.signal);
  }

  async #deregister(): Promise<void> {
    // A registration that is under way must not come after its end.
    await this.#running;
    if (this.#wanted === undefined) return;
    const { id } = this.#wanted.announcement;
    await this.#client.change(
      (consul, options) => consul.agent.service.deregister({ id, ...options }),
      withdrawLimitMs,
    );
  }
}
