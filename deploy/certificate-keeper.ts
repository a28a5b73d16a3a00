/**
 * Keeps certificates of a deployment valid: issues them into a folder, one file each with key and certificate, and renews
 * each at half of its life. A file is replaced at once, so that no reader sees the key of one renewal and the certificate of
 * another; whoever reads it shows the new one to new connections, and running ones go on.
 */
import { X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TlsConfig } from "#mesh/mesh-config.ts";
import type { SpiffeId } from "#mesh/spiffe-id.ts";
import type { CertificateAuthority, IssuedCertificate } from "./certificate-authority.ts";
import { lifeMsDefault, lifeMsMin } from "./certificate-authority.ts";
import { replaceFile } from "./file-writing.ts";

/** Also how long a certificate that could not be written waits for its next try. */
const lookEveryMsMax = 60_000;

export type KeptCertificate = {
  /** Of the file: "router-0" is kept in router-0.pem. */
  readonly name: string;
  readonly issue: (authority: CertificateAuthority, lifeMs: number) => Promise<IssuedCertificate>;
};

export type KeeperOptions = {
  readonly authority: CertificateAuthority;
  readonly folder: string;
  readonly certificates: readonly KeptCertificate[];
  /** Default 24 hours. */
  readonly lifeMs?: number;
  readonly log?: (line: string) => void;
};

export class CertificateKeeper {
  readonly #options: KeeperOptions;
  readonly #lifeMs: number;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #renewing: Promise<void> = Promise.resolve();

  private constructor(options: KeeperOptions) {
    this.#options = options;
    this.#lifeMs = options.lifeMs ?? lifeMsDefault;
    if (this.#lifeMs < lifeMsMin) throw new RangeError(`a certificate lives for ${lifeMsMin} ms at least`);
  }

  /** Resolves when each certificate is there and good for half of its life. Throws when one cannot be issued. */
  static async open(options: KeeperOptions): Promise<CertificateKeeper> {
    const keeper = new CertificateKeeper(options);
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    replaceFile(join(options.folder, caFileName), options.authority.certificate);
    for (const kept of options.certificates) await keeper.#renewWhenDue(kept);
    keeper.#renewLater();
    return keeper;
  }

  /** What the process of this name is told (URNA_TLS_…). */
  filesOf(name: string): TlsConfig {
    const file = this.#fileOf(name);
    return { certFile: file, keyFile: file, caFile: join(this.#options.folder, caFileName) };
  }

  /** Issues all of them anew, whatever is left of them. */
  async renewNow(): Promise<void> {
    for (const kept of this.#options.certificates) await this.#renew(kept);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#renewing;
  }

  #renewLater(): void {
    if (this.#stopped) return;
    const everyMs = Math.min(lookEveryMsMax, this.#lifeMs / 10);
    this.#timer = setTimeout(() => {
      this.#renewing = this.#renewAll().finally(() => this.#renewLater());
    }, everyMs);
    this.#timer.unref();
  }

  /** Never throws: a full disk must not end the launcher, and there is half of a life left to get better. */
  async #renewAll(): Promise<void> {
    for (const kept of this.#options.certificates) {
      try {
        await this.#renewWhenDue(kept);
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error);
        this.#options.log?.(`the certificate of ${kept.name} could not be renewed: ${problem}`);
      }
    }
  }

  async #renewWhenDue(kept: KeptCertificate): Promise<void> {
    if (this.#leftMs(kept.name) < this.#lifeMs / 2) await this.#renew(kept);
  }

  async #renew(kept: KeptCertificate): Promise<void> {
    const { key, certificate } = await kept.issue(this.#options.authority, this.#lifeMs);
    replaceFile(this.#fileOf(kept.name), key + certificate, 0o600);
  }

  /** 0 for a file that is not there, or of another authority, or longer lived than wanted. */
  #leftMs(name: string): number {
    const file = this.#fileOf(name);
    if (!existsSync(file)) return 0;
    try {
      const certificate = new X509Certificate(readFileSync(file));
      const authority = new X509Certificate(this.#options.authority.certificate);
      const leftMs = certificate.validToDate.getTime() - Date.now();
      return certificate.verify(authority.publicKey) && leftMs <= this.#lifeMs ? leftMs : 0;
    } catch {
      return 0;
    }
  }

  #fileOf(name: string): string {
    return join(this.#options.folder, `${name}.pem`);
  }
}

const caFileName = "ca.pem";

/** One of Urna's own. `hosts` are for tools that ask for a host name. */
export function keptIdentity(id: SpiffeId, hosts: readonly string[] = []): KeptCertificate {
  return { name: id.name, issue: (authority, lifeMs) => authority.issue({ id, hosts, lifeMs }) };
}

/** Of a server that is not of Urna, by its host names. */
export function keptServer(name: string, hosts: readonly string[]): KeptCertificate {
  return { name, issue: (authority, lifeMs) => authority.issueForHosts(name, hosts, lifeMs) };
}
