/**
 * A certificate authority of one deployment, in a folder: ca.pem for everybody, ca-key.pem for whoever issues. What it issues
 * bears one SPIFFE id, serves for both ends of a connection, and lives for a short time: nothing is revoked, it ends.
 */
import { X509Certificate as ReadCertificate, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { formatSpiffeId, type SpiffeId } from "#mesh/spiffe-id.ts";
import "./decorator-metadata.ts";
import * as x509 from "@peculiar/x509";
import { replaceFile } from "./file-writing.ts";

const caLifeMs = 10 * 365 * 24 * 3_600_000;
export const lifeMsDefault = 24 * 3_600_000;
export const lifeMsMin = 10_000;
/** Certificates begin a little before they are made: clocks of two machines differ. */
const backdateMsMax = 60_000;

const keyAlgorithm = { name: "ECDSA", namedCurve: "P-256" } as const;
const signingAlgorithm = { name: "ECDSA", hash: "SHA-256" } as const;

export type IssuedCertificate = {
  readonly certificate: string;
  /** PKCS #8. */
  readonly key: string;
  readonly validTo: Date;
};

export type LeafRequest = {
  readonly id: SpiffeId;
  /** Default 24 hours. Never beyond the authority's own end. */
  readonly lifeMs?: number;
  /** Host names and IP addresses that the certificate also names, for tools that ask for one. */
  readonly hosts?: readonly string[];
  /** Default now. */
  readonly notBefore?: Date;
};

export class CertificateAuthority {
  readonly deployment: string;
  /** PEM, to be given to everybody. */
  readonly certificate: string;
  readonly #issuer: x509.X509Certificate;
  readonly #signingKey: CryptoKey;

  private constructor(certificate: string, signingKey: CryptoKey) {
    this.certificate = certificate;
    this.#issuer = new x509.X509Certificate(certificate);
    this.#signingKey = signingKey;
    const [, deployment] =
      /URI:spiffe:\/\/([^/,]+)(,|$)/.exec(new ReadCertificate(certificate).subjectAltName ?? "") ?? [];
    if (deployment === undefined) throw new Error("the authority's certificate names no deployment");
    this.deployment = deployment;
  }

  /** Throws when the folder has one already: whoever trusts that one would trust nothing of the new one. */
  static async create(folder: string, deployment: string): Promise<CertificateAuthority> {
    const { certFile, keyFile } = authorityFiles(folder);
    // A key alone is one whose certificate was never written: nobody trusts it.
    if (existsSync(certFile)) throw new Error(`${folder} has a certificate authority already`);
    const { publicKey, privateKey } = await generateKeys();
    const id = formatSpiffeId({ deployment, kind: "client", name: "x" }).replace(/\/client\/x$/, "");
    const name = `CN=urna ${deployment} ${randomBytes(4).toString("hex")}`;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: name,
      issuer: name,
      notBefore: new Date(Date.now() - backdateMsMax),
      notAfter: new Date(Date.now() + caLifeMs),
      publicKey,
      signingKey: privateKey,
      signingAlgorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        new x509.SubjectAlternativeNameExtension([{ type: "url", value: id }]),
        await x509.SubjectKeyIdentifierExtension.create(publicKey),
      ],
    });
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    replaceFile(keyFile, await pemOf(privateKey), 0o600);
    const pem = `${certificate.toString("pem")}\n`;
    replaceFile(certFile, pem);
    return new CertificateAuthority(pem, privateKey);
  }

  static async open(folder: string): Promise<CertificateAuthority> {
    const { certFile, keyFile } = authorityFiles(folder);
    const [pkcs8] = x509.PemConverter.decode(readFileSync(keyFile, "utf8"));
    if (pkcs8 === undefined) throw new Error(`${keyFile} holds no key`);
    const key = await crypto.subtle.importKey("pkcs8", pkcs8, keyAlgorithm, true, ["sign"]);
    return new CertificateAuthority(readFileSync(certFile, "utf8"), key);
  }

  /** The one of the folder, made on the first call. */
  static async keep(folder: string, deployment: string): Promise<CertificateAuthority> {
    return hasAuthority(folder) ? CertificateAuthority.open(folder) : CertificateAuthority.create(folder, deployment);
  }

  issue({ id, hosts = [], ...times }: LeafRequest): Promise<IssuedCertificate> {
    const names: x509.JsonGeneralNames = [{ type: "url", value: formatSpiffeId(id) }, ...hosts.map(hostName)];
    return this.#sign(`CN=${id.kind}/${id.name}`, names, times);
  }

  /**
   * For a server that is not of Urna and is looked for by host names, such as Consul's HTTPS API ("server.dc1.consul"): it has
   * no SPIFFE id, so that no part of Urna takes it for one of its own.
   */
  issueForHosts(commonName: string, hosts: readonly string[], lifeMs?: number): Promise<IssuedCertificate> {
    return this.#sign(`CN=${commonName}`, hosts.map(hostName), lifeMs === undefined ? {} : { lifeMs });
  }

  async #sign(
    subject: string,
    names: x509.JsonGeneralNames,
    { lifeMs = lifeMsDefault, notBefore = new Date() }: Pick<LeafRequest, "lifeMs" | "notBefore">,
  ): Promise<IssuedCertificate> {
    const { publicKey, privateKey } = await generateKeys();
    const validTo = new Date(Math.min(notBefore.getTime() + lifeMs, this.#issuer.notAfter.getTime()));
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject,
      issuer: this.#issuer.subject,
      notBefore: new Date(notBefore.getTime() - Math.min(backdateMsMax, lifeMs / 10)),
      notAfter: validTo,
      publicKey,
      signingKey: this.#signingKey,
      signingAlgorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.SubjectAlternativeNameExtension(names),
        await x509.AuthorityKeyIdentifierExtension.create(this.#issuer.publicKey),
      ],
    });
    return { certificate: `${certificate.toString("pem")}\n`, key: await pemOf(privateKey), validTo };
  }
}

export function hasAuthority(folder: string): boolean {
  const { certFile, keyFile } = authorityFiles(folder);
  return existsSync(certFile) && existsSync(keyFile);
}

export function authorityFiles(folder: string): { readonly certFile: string; readonly keyFile: string } {
  return { certFile: join(folder, "ca.pem"), keyFile: join(folder, "ca-key.pem") };
}

async function generateKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"]);
}

async function pemOf(key: CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

/** Positive, 16 bytes, never guessed. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}

function hostName(host: string): { type: "ip" | "dns"; value: string } {
  return { type: isIP(host) === 0 ? "dns" : "ip", value: host };
}
