/** Certificates for a cluster without the mesh: static discovery and mutual TLS, so that TLS alone is what differs. */
import { CertificateKeeper, keptIdentity } from "#deploy/certificate-keeper.ts";
import { CertificateRig } from "#deploy/certificate-rig.ts";
import type { Identity } from "#mesh/identity.ts";
import type { ServiceKind } from "#mesh/spiffe-id.ts";
import { openTlsIdentity } from "#mesh/tls-identity.ts";

const adminName = "bench";
/** The names of an embedded cluster's services, and of more than there are. */
const services: readonly [ServiceKind, string][] = [
  ["router", "router-0"],
  ["router", "router-1"],
  ["tally", "tally"],
  ...["a", "b", "c"].flatMap((node) =>
    [0, 1, 2, 3].map((shardId): [ServiceKind, string] => ["shard", `shard-${shardId}-${node}`]),
  ),
];

export class TlsPapers implements AsyncDisposable {
  readonly identity: Identity;
  readonly #rig: CertificateRig;
  readonly #keeper: CertificateKeeper;

  private constructor(rig: CertificateRig, keeper: CertificateKeeper, identity: Identity) {
    this.#rig = rig;
    this.#keeper = keeper;
    this.identity = identity;
  }

  static async issue(): Promise<TlsPapers> {
    const rig = await CertificateRig.open("bench");
    const { authority, folder } = rig;
    const own = { deployment: authority.deployment };
    const certificates = [
      keptIdentity({ ...own, kind: "admin", name: adminName }),
      ...services.map(([kind, name]) => keptIdentity({ ...own, kind, name })),
    ];
    const keeper = await CertificateKeeper.open({ authority, folder, certificates });
    return new TlsPapers(rig, keeper, await openTlsIdentity(keeper.filesOf(adminName)));
  }

  /** What a service is told; nothing for a process that is not one. */
  environment(name: string): Record<string, string> {
    if (!services.some(([, known]) => known === name)) return {};
    const { certFile, keyFile, caFile } = this.#keeper.filesOf(name);
    return { URNA_TLS_CERT_FILE: certFile, URNA_TLS_KEY_FILE: keyFile, URNA_TLS_CA_FILE: caFile };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.identity.close();
    await this.#keeper.stop();
    this.#rig.close();
  }
}
