/** What a certificate's file says: for people, for programs, and for whoever issues it again. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { SpiffeId } from "#mesh/spiffe-id.ts";
import { spiffeIdOf } from "#mesh/spiffe-id.ts";
import { UsageError } from "./exit-code.ts";
import { plainText } from "./text-table.ts";

export type ShownCertificate = { readonly lines: readonly string[]; readonly json: Readonly<Record<string, unknown>> };

export type RenewedRequest = { readonly id: SpiffeId; readonly hosts: readonly string[]; readonly lifeMs: number };

/** Throws UsageError when the file holds no certificate. */
export function describeCertificate(file: string): ShownCertificate {
  const certificate = readCertificate(file);
  const { subject, issuer, serialNumber, ca, validFromDate, validToDate } = certificate;
  const { uris, hosts } = namesOf(certificate);
  const left = leftText(validToDate.getTime() - Date.now());
  const named = hosts.length === 0 ? [] : [`  for       ${hosts.join(", ")}`];
  const lines = [
    file,
    `  ${ca ? "authority" : "id       "} ${uris.join(", ") || subject}`,
    ...named,
    `  issued by ${issuer}, serial ${serialNumber}`,
    `  valid     ${validFromDate.toISOString()} to ${validToDate.toISOString()} (${left})`,
  ];
  const json = {
    file,
    ids: uris,
    hosts,
    authority: ca,
    issuer,
    serial: serialNumber,
    valid_from: validFromDate.toISOString(),
    valid_to: validToDate.toISOString(),
  };
  return { lines: lines.map(plainText), json };
}

/** Throws UsageError for what this authority has not issued. */
export function renewedRequest(file: string, authority: string): RenewedRequest {
  const certificate = readCertificate(file);
  const id = spiffeIdOf(certificate.subjectAltName);
  if (id === undefined) throw new UsageError(`${file} bears no SPIFFE id of ours: it is not renewed here`);
  if (!certificate.verify(new X509Certificate(authority).publicKey)) {
    throw new UsageError(`${file} was issued by another authority: it is not renewed here`);
  }
  const life = certificate.validToDate.getTime() - certificate.validFromDate.getTime();
  return { id, hosts: namesOf(certificate).hosts, lifeMs: life };
}

function readCertificate(file: string): X509Certificate {
  try {
    return new X509Certificate(readFileSync(file));
  } catch (cause) {
    throw new UsageError(`${file} holds no certificate that can be read: ${plainText((cause as Error).message)}`);
  }
}

function namesOf({ subjectAltName = "" }: X509Certificate): { uris: string[]; hosts: string[] } {
  const names = subjectAltName === "" ? [] : subjectAltName.split(", ");
  const uris = names.filter((name) => name.startsWith("URI:")).map((name) => name.slice("URI:".length));
  const hosts = names.filter((name) => /^(DNS|IP Address):/.test(name)).map((name) => name.replace(/^[^:]*:/, ""));
  return { uris, hosts };
}

function leftText(ms: number): string {
  if (ms <= 0) return "it has expired";
  const [seconds, hours] = [ms / 1_000, ms / 3_600_000];
  if (seconds < 120) return `${Math.round(seconds)} s left`;
  return hours < 48 ? `${(Math.round(hours * 10) / 10).toString()} h left` : `${Math.round(hours / 24)} days left`;
}
