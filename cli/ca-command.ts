/** `urna ca init`, `issue`, `renew` and `show`: the certificate authority of a deployment, and what it issues. */
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import type { SpiffeId } from "#mesh/spiffe-id.ts";
import { callerKinds, serviceKinds } from "#mesh/spiffe-id.ts";
import { describeCertificate, renewedRequest, type ShownCertificate } from "./certificate-description.ts";
import type { CommandContext } from "./command-context.ts";
import { withExamples } from "./command-context.ts";
import { durationMs } from "./duration.ts";
import { UsageError } from "./exit-code.ts";
import { plainText } from "./text-table.ts";

type CaOptions = { readonly dir: string; readonly json?: boolean };
type IssueOptions = CaOptions & {
  readonly service?: string;
  readonly caller?: string;
  readonly name: string;
  readonly ttl?: string;
  readonly host?: readonly string[];
  readonly out: string;
};
type RenewOptions = CaOptions & { readonly ttl?: string };

const dirDefault = "urna-ca";

export function addCaCommand(program: Command, context: CommandContext): void {
  const ca = program
    .command("ca")
    .summary("issue and renew the certificates of a deployment")
    .description(
      "A small certificate authority for one deployment. A certificate says who its holder is, by a SPIFFE id; what that " +
        "holder may call is a table (docs/identity.md). Certificates live for a day and are renewed, never revoked.",
    );
  addInit(ca, context);
  addIssue(ca, context);
  addRenew(ca, context);
  addShow(ca, context);
}

function addInit(ca: Command, context: CommandContext): void {
  const init = withDir(ca.command("init"))
    .summary("make the authority of a new deployment")
    .requiredOption("--deployment <name>", "the trust domain of its ids: lower-case letters, digits, dots and dashes")
    .action(async ({ dir, deployment, json }: CaOptions & { readonly deployment: string }) => {
      const { CertificateAuthority, authorityFiles } = await import("#deploy/certificate-authority.ts");
      const folder = resolve(context.folder, dir);
      const { certFile, keyFile } = authorityFiles(folder);
      await orUsage(() => CertificateAuthority.create(folder, deployment));
      if (json === true) {
        context.terminal.print(JSON.stringify({ deployment, ca_file: certFile, ca_key_file: keyFile }));
        return;
      }
      context.terminal.print(`the authority of spiffe://${deployment} is in ${folder}`);
      context.terminal.print(`  ${certFile}      for everybody`);
      context.terminal.print(`  ${keyFile}  for whoever issues: keep it, and keep it secret`);
    });
  withExamples(init, "urna ca init --deployment city-2026");
}

function addIssue(ca: Command, context: CommandContext): void {
  const issue = withDir(ca.command("issue"))
    .summary("issue a certificate for a process or a person")
    .option("--service <kind>", `of a part of Urna: ${serviceKinds.join(", ")}`)
    .option("--caller <kind>", `of who calls: ${callerKinds.join(", ")}`)
    .requiredOption("--name <name>", "whose it is: router-0, shard-0-a, ann")
    .option("--ttl <duration>", "how long it lives: 60s, 90m, 24h, 7d (default: 24h)")
    .option("--host <host...>", "host names and addresses that it names, too, for tools that ask for them")
    .requiredOption("--out <folder>", "where NAME.pem (key and certificate) and ca.pem are written")
    .action((options: IssueOptions) => issueCertificate(options, context));
  withExamples(
    issue,
    "urna ca issue --service router --name router-0 --host 127.0.0.1 --out certs",
    "urna ca issue --caller admin --name ann --ttl 8h --out ann",
  );
}

function addRenew(ca: Command, context: CommandContext): void {
  const renew = withDir(ca.command("renew"))
    .summary("issue certificates again, with new keys and the same names")
    .argument("<files...>", "what `urna ca issue` has written")
    .option("--ttl <duration>", "how long they live (default: as long as before)")
    .action(async (files: readonly string[], options: RenewOptions) => {
      const { authority, replaceFile } = await openAuthority(options, context);
      for (const name of files) {
        const file = resolve(context.folder, name);
        const request = renewedRequest(file, authority.certificate);
        const lifeMs = options.ttl === undefined ? request.lifeMs : durationMs("--ttl", options.ttl);
        const { key, certificate } = await orUsage(() => authority.issue({ ...request, lifeMs }));
        replaceFile(file, key + certificate, 0o600);
        printShown(describeCertificate(file), options, context);
      }
    });
  withExamples(renew, "urna ca renew certs/router-0.pem certs/tally.pem");
}

function addShow(ca: Command, context: CommandContext): void {
  const show = ca
    .command("show")
    .summary("show what certificates say")
    .argument("<files...>", "files in PEM")
    .option("--json", "print JSON on standard output, one line a file")
    .action((files: readonly string[], options: { readonly json?: boolean }) => {
      for (const name of files) printShown(describeCertificate(resolve(context.folder, name)), options, context);
    });
  withExamples(show, "urna ca show certs/*.pem");
}

async function issueCertificate(options: IssueOptions, context: CommandContext): Promise<void> {
  const kind = kindOf(options);
  const lifeMs = options.ttl === undefined ? undefined : durationMs("--ttl", options.ttl);
  const { authority, replaceFile } = await openAuthority(options, context);
  const id = { deployment: authority.deployment, kind, name: options.name };
  const issued = await orUsage(() =>
    authority.issue({ id, hosts: options.host ?? [], ...(lifeMs === undefined ? {} : { lifeMs }) }),
  );
  const folder = resolve(context.folder, options.out);
  const [file, caFile] = [join(folder, `${options.name}.pem`), join(folder, "ca.pem")];
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  replaceFile(file, issued.key + issued.certificate, 0o600);
  replaceFile(caFile, authority.certificate);
  printShown(describeCertificate(file), options, context);
  if (options.json === true) return;
  context.terminal.print(`  URNA_TLS_CERT_FILE=${file} URNA_TLS_CA_FILE=${caFile}`);
}

function kindOf({ service, caller }: IssueOptions): SpiffeId["kind"] {
  const kinds: readonly string[] = service === undefined ? callerKinds : serviceKinds;
  const wanted = service ?? caller;
  if (wanted === undefined || (service !== undefined && caller !== undefined)) {
    throw new UsageError("give --service or --caller: whose certificate is it?");
  }
  if (kinds.includes(wanted)) return wanted as SpiffeId["kind"];
  throw new UsageError(`"${plainText(wanted)}" is none of ${kinds.join(", ")}`);
}

/** Loaded when it is needed: most commands have nothing to do with X.509. */
async function openAuthority({ dir }: CaOptions, context: CommandContext) {
  const { CertificateAuthority, authorityFiles, hasAuthority } = await import("#deploy/certificate-authority.ts");
  const { replaceFile } = await import("#deploy/file-writing.ts");
  const folder = resolve(context.folder, dir);
  if (!hasAuthority(folder)) {
    const { certFile } = authorityFiles(folder);
    throw new UsageError(`there is no ${certFile}: make an authority with "urna ca init", or say --dir`);
  }
  return { authority: await orUsage(() => CertificateAuthority.open(folder)), replaceFile };
}

/** What a file or a name is not good for is the user's to mend. */
async function orUsage<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new UsageError(plainText(cause instanceof Error ? cause.message : String(cause)));
  }
}

function printShown(
  shown: ShownCertificate,
  { json }: { readonly json?: boolean },
  { terminal }: CommandContext,
): void {
  if (json === true) terminal.print(JSON.stringify(shown.json));
  else for (const line of shown.lines) terminal.print(line);
}

function withDir(command: Command): Command {
  return command
    .option("--dir <folder>", "the authority's folder", dirDefault)
    .option("--json", "print JSON on standard output");
}
