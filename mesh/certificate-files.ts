/**
 * A process's certificate, its key and whom it trusts, read from files and checked as a whole: what is wrong with them is
 * found here, before anybody is shown it.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { TlsConfig } from "#mesh/mesh-config.ts";
import { type SpiffeId, spiffeIdOf } from "#mesh/spiffe-id.ts";

/** What stands in the files; the key may stand in the certificate's file, so that both change at once. */
export type CertificateTexts = { readonly certificate: string; readonly key: string; readonly ca: string };

export type CertificateSet = {
  readonly id: SpiffeId;
  /** PEM: the certificate and what leads from it to an authority. */
  readonly chain: string;
  readonly key: string;
  readonly ca: string;
  readonly validFromMs: number;
  readonly validToMs: number;
};

/** Certificates that do not do, and why, in words that name the file. */
export class CertificateError extends Error {
  constructor(file: string, problem: string) {
    super(`${file} ${problem}`);
    this.name = "CertificateError";
  }
}

export async function readCertificateTexts({ certFile, keyFile, caFile }: TlsConfig): Promise<CertificateTexts> {
  const read = async (file: string) => {
    try {
      return await readFile(file, "utf8");
    } catch (error) {
      throw new CertificateError(file, `cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  const certificate = await read(certFile);
  // One file is read once: of two readings each may see another renewal.
  return { certificate, key: keyFile === certFile ? certificate : await read(keyFile), ca: await read(caFile) };
}

/** Throws CertificateError. */
export function checkCertificates(texts: CertificateTexts, files: TlsConfig, nowMs: number): CertificateSet {
  const { certFile, keyFile, caFile } = files;
  const authorities = certificatesIn(texts.ca, caFile);
  const [leaf, ...between] = certificatesIn(texts.certificate, certFile);
  if (leaf === undefined) throw new CertificateError(certFile, "holds no certificate");
  if (authorities.length === 0) throw new CertificateError(caFile, "holds no certificate");
  if (!leaf.checkPrivateKey(keyIn(texts.key, keyFile))) {
    throw new CertificateError(keyFile, `holds another key than that of the certificate in ${certFile}`);
  }
  if (!leadsTo(authorities, leaf, between)) {
    throw new CertificateError(certFile, `was issued by another authority than the one in ${caFile}`);
  }
  const id = spiffeIdOf(leaf.subjectAltName);
  if (id === undefined) {
    throw new CertificateError(certFile, `bears no SPIFFE id of ours, only "${leaf.subjectAltName ?? "nothing"}"`);
  }
  const [validFromMs, validToMs] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()];
  if (validToMs <= nowMs) throw new CertificateError(certFile, `has expired: it was valid to ${leaf.validTo}`);
  if (validFromMs > nowMs) {
    throw new CertificateError(
      certFile,
      `is not valid yet, but from ${leaf.validFrom}: is this machine's clock right?`,
    );
  }
  return { id, chain: pemOf([leaf, ...between]), key: texts.key, ca: pemOf(authorities), validFromMs, validToMs };
}

function certificatesIn(text: string, file: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length !== (text.match(/-----BEGIN CERTIFICATE-----/g) ?? []).length) {
    throw new CertificateError(file, "ends within a certificate");
  }
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    throw new CertificateError(file, "holds a certificate that cannot be read");
  }
}

function pemOf(certificates: readonly X509Certificate[]): string {
  return certificates.map((certificate) => certificate.toString()).join("");
}

function keyIn(text: string, file: string) {
  try {
    return createPrivateKey(text);
  } catch {
    // The cause could quote the key.
    throw new CertificateError(file, "holds no private key that can be read");
  }
}

/** Whether one certificate after the other was issued by the next, the last one by an authority. */
function leadsTo(authorities: readonly X509Certificate[], leaf: X509Certificate, between: X509Certificate[]): boolean {
  const isIssuedBy = (issued: X509Certificate, issuer: X509Certificate) =>
    issued.checkIssued(issuer) && issued.verify(issuer.publicKey);
  let last = leaf;
  for (const next of between) {
    if (authorities.some((authority) => isIssuedBy(last, authority))) return true;
    if (!isIssuedBy(last, next)) return false;
    last = next;
  }
  return authorities.some((authority) => isIssuedBy(last, authority));
}
