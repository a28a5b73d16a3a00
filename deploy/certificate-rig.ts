/** Certificates for tests: an authority in a temporary folder, and files as processes are told of them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TlsConfig } from "#mesh/mesh-config.ts";
import type { IdentityKind } from "#mesh/spiffe-id.ts";
import type { IssuedCertificate, LeafRequest } from "./certificate-authority.ts";
import { authorityFiles, CertificateAuthority } from "./certificate-authority.ts";
import { replaceFile } from "./file-writing.ts";

export type RigLeaf = Omit<LeafRequest, "id"> & { readonly deployment?: string };

export class CertificateRig {
  readonly folder: string;
  readonly authority: CertificateAuthority;

  private constructor(folder: string, authority: CertificateAuthority) {
    this.folder = folder;
    this.authority = authority;
  }

  static async open(deployment = "test-mesh"): Promise<CertificateRig> {
    const folder = mkdtempSync(join(tmpdir(), "urna-certificates-"));
    return new CertificateRig(folder, await CertificateAuthority.create(join(folder, "ca"), deployment));
  }

  get caFile(): string {
    return authorityFiles(join(this.folder, "ca")).certFile;
  }

  issue(kind: IdentityKind, name: string, { deployment, ...leaf }: RigLeaf = {}): Promise<IssuedCertificate> {
    const id = { deployment: deployment ?? this.authority.deployment, kind, name };
    return this.authority.issue({ id, ...leaf });
  }

  /** In one file, which is replaced when it is there. */
  async files(kind: IdentityKind, name: string, leaf: RigLeaf = {}): Promise<TlsConfig> {
    return this.write(name, await this.issue(kind, name, leaf));
  }

  write(name: string, { key, certificate }: Pick<IssuedCertificate, "key" | "certificate">): TlsConfig {
    const file = join(this.folder, `${name}.pem`);
    replaceFile(file, key + certificate, 0o600);
    return { certFile: file, keyFile: file, caFile: this.caFile };
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
