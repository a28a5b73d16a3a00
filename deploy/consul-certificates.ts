/**
 * The certificates of Consul's agents: a small authority of their own, one certificate for servers and one for agents.
 * Made by Consul itself on the first start, and anew when they are about to expire.
 */
import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const commandLimitMs = 60_000;
const authorityDays = 3_650;
const certificateDays = 825;
const dayMs = 86_400_000;
/** What is left of a certificate that is not made anew. */
const remainingMs = 90 * dayMs;

export type ConsulCertificate = { readonly caFile: string; readonly certFile: string; readonly keyFile: string };

export type ConsulCertificates = {
  readonly caFile: string;
  readonly server: ConsulCertificate;
  readonly agent: ConsulCertificate;
};

/** In this folder, which only we can read. `program` is Consul's. */
export async function keepConsulCertificates(
  program: string,
  folder: string,
  datacenter: string,
): Promise<ConsulCertificates> {
  const caFile = join(folder, "consul-ca.pem");
  const caKeyFile = join(folder, "consul-ca-key.pem");
  const files = (role: "server" | "client"): ConsulCertificate => ({
    caFile,
    certFile: join(folder, `consul-${role}.pem`),
    keyFile: join(folder, `consul-${role}-key.pem`),
  });
  if (!isGood(caFile, caKeyFile)) {
    await issue(program, folder, ["ca", "create", "-days", String(authorityDays)], {
      "consul-agent-ca.pem": caFile,
      "consul-agent-ca-key.pem": caKeyFile,
    });
  }
  const made = { server: files("server"), client: files("client") };
  for (const [role, { certFile, keyFile }] of Object.entries(made)) {
    if (isGood(certFile, keyFile, caFile)) continue;
    const where = ["-dc", datacenter, "-ca", caFile, "-key", caKeyFile, "-days", String(certificateDays)];
    await issue(program, folder, ["cert", "create", `-${role}`, ...where], {
      [`${datacenter}-${role}-consul-0.pem`]: certFile,
      [`${datacenter}-${role}-consul-0-key.pem`]: keyFile,
    });
  }
  return { caFile, server: made.server, agent: made.client };
}

/** Runs `consul tls …` in a folder of its own, and takes its files out of there, the certificate last. */
async function issue(
  program: string,
  folder: string,
  args: readonly string[],
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const draft = mkdtempSync(join(folder, "consul-tls-"));
  try {
    await run(program, ["tls", ...args], { cwd: draft, timeout: commandLimitMs });
    for (const [name, path] of Object.entries(files).toReversed()) {
      chmodSync(join(draft, name), 0o600);
      renameSync(join(draft, name), path);
    }
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Whether it is there, with its key, of this authority, and far from its end. */
function isGood(certFile: string, keyFile: string, caFile = certFile): boolean {
  if (!existsSync(certFile) || !existsSync(keyFile)) return false;
  const certificate = new X509Certificate(readFileSync(certFile));
  const authority = new X509Certificate(readFileSync(caFile));
  return certificate.verify(authority.publicKey) && certificate.validToDate.getTime() - Date.now() > remainingMs;
}
