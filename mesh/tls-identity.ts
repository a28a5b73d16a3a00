/**
 * An identity kept in files. They are read again when they change, and now and then; what is good is shown to new
 * connections from then on while running ones go on, and what is not is refused with one line in the log.
 */
import type { FSWatcher } from "node:fs";
import { watch } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { ChannelCredentials } from "@grpc/grpc-js";
import type { CertificateSet, CertificateTexts } from "#mesh/certificate-files.ts";
import { CertificateError, checkCertificates, readCertificateTexts } from "#mesh/certificate-files.ts";
import type { Identity } from "#mesh/identity.ts";
import type { Logger } from "#mesh/log.ts";
import type { TlsConfig } from "#mesh/mesh-config.ts";
import { formatSpiffeId, type IdentityKind, type SpiffeId } from "#mesh/spiffe-id.ts";
import { TlsChannelCredentials } from "#mesh/tls-channel.ts";

/** What no watch tells of (a network file system, a link that is swapped) is found by looking. */
const lookEveryMs = 1_000;
/** Files that are renewed one after the other do not fit together for a moment. */
const settleMs = 150;
const settleTries = 3;
/** With less than this share of its life left, a certificate should have been renewed. */
const lateShare = 0.25;

/** Throws CertificateError when the files do not do. `nowMs` is the wall clock. */
export async function openTlsIdentity(files: TlsConfig, log?: Logger, nowMs = Date.now): Promise<Identity> {
  const texts = await readCertificateTexts(files);
  return new TlsIdentity(files, texts, log, nowMs);
}

class TlsIdentity implements Identity {
  readonly #files: TlsConfig;
  readonly #log: Logger | undefined;
  readonly #nowMs: () => number;
  readonly #listeners = new Set<() => void>();
  readonly #watchers: FSWatcher[];
  readonly #timer: NodeJS.Timeout;
  #texts: CertificateTexts;
  /** What was refused last, so that it is said once. */
  #refused: string | undefined;
  #set: CertificateSet;
  #clientContext: SecureContext;
  #looking: Promise<void> | undefined;
  #isLate = false;
  #closed = false;

  constructor(files: TlsConfig, texts: CertificateTexts, log: Logger | undefined, nowMs: () => number) {
    this.#files = files;
    this.#log = log;
    this.#nowMs = nowMs;
    this.#texts = texts;
    this.#set = checkCertificates(texts, files, this.#nowMs());
    this.#clientContext = createSecureContext(contextOf(this.#set));
    const folders = new Set([files.certFile, files.keyFile, files.caFile].map((file) => dirname(file)));
    this.#watchers = [...folders].flatMap((folder) => this.#watched(folder));
    this.#timer = setInterval(() => void this.#look(), lookEveryMs);
    this.#timer.unref();
    log?.info({ id: this.id, validity: validityOf(this.#set) }, "the process has a certificate");
  }

  get id(): string {
    return formatSpiffeId(this.#set.id);
  }

  get spiffeId(): SpiffeId {
    return this.#set.id;
  }

  get trouble(): string {
    if (this.secondsLeft <= 0) return "the certificate has expired and was not renewed";
    const refused = this.#refused === undefined ? "" : `new certificates are refused: ${this.#refused}`;
    if (!this.#isNearItsEnd()) return refused;
    const late = `the certificate expires in ${Math.round(this.secondsLeft)} s and was not renewed`;
    return refused === "" ? late : `${late}; ${refused}`;
  }

  get secondsLeft(): number {
    return (this.#set.validToMs - this.#nowMs()) / 1_000;
  }

  get secureContext(): SecureContextOptions {
    return contextOf(this.#set);
  }

  channelCredentials(servers: readonly IdentityKind[]): ChannelCredentials {
    const { spiffeId } = this;
    return new TlsChannelCredentials(
      () => ({ spiffeId, clientContext: this.#clientContext, validity: validityOf(this.#set) }),
      servers,
    );
  }

  onRenewal(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const watcher of this.#watchers) watcher.close();
    this.#listeners.clear();
  }

  /** Nothing where the system has no watches left: looking now and then does, too. */
  #watched(folder: string): FSWatcher[] {
    try {
      return [watch(folder, { persistent: false }, () => void this.#look()).on("error", () => {})];
    } catch {
      return [];
    }
  }

  #look(): Promise<void> {
    this.#looking ??= this.#read().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** Never throws. */
  async #read(): Promise<void> {
    for (let tries = 1; !this.#closed; tries++) {
      try {
        this.#take(await readCertificateTexts(this.#files));
        break;
      } catch (error) {
        if (tries < settleTries) await delay(settleMs, undefined, { ref: false });
        else {
          this.#refuse(error);
          break;
        }
      }
    }
    this.#warnWhenLate();
  }

  /** Throws CertificateError, and then nothing has changed. */
  #take(texts: CertificateTexts): void {
    const { certificate, key, ca } = this.#texts;
    if (texts.certificate === certificate && texts.key === key && texts.ca === ca) {
      this.#refused = undefined;
      return;
    }
    const set = checkCertificates(texts, this.#files, this.#nowMs());
    if (formatSpiffeId(set.id) !== this.id) {
      throw new CertificateError(this.#files.certFile, `is of ${formatSpiffeId(set.id)}; this process is ${this.id}`);
    }
    this.#clientContext = createSecureContext(contextOf(set));
    this.#texts = texts;
    this.#set = set;
    this.#refused = undefined;
    this.#isLate = false;
    this.#log?.info({ id: this.id, validity: validityOf(set) }, "the certificate was renewed");
    for (const listener of this.#listeners) listener();
  }

  #refuse(error: unknown): void {
    const problem = error instanceof Error ? error.message : String(error);
    if (this.#refused === problem) return;
    this.#refused = problem;
    this.#log?.warn({ problem }, "new certificates are refused; the last good one stays");
  }

  #isNearItsEnd(): boolean {
    const { validFromMs, validToMs } = this.#set;
    return validToMs - this.#nowMs() < lateShare * (validToMs - validFromMs);
  }

  #warnWhenLate(): void {
    if (this.#isLate || !this.#isNearItsEnd()) return;
    this.#isLate = true;
    this.#log?.warn({ secondsLeft: Math.round(this.secondsLeft) }, "the certificate nears its end and was not renewed");
  }
}

function contextOf({ chain, key, ca }: CertificateSet): SecureContextOptions {
  return { cert: chain, key, ca, minVersion: "TLSv1.3" };
}

function validityOf({ validFromMs, validToMs }: CertificateSet): string {
  return `valid from ${new Date(validFromMs).toISOString()} to ${new Date(validToMs).toISOString()}`;
}
