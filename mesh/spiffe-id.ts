/**
 * Names of processes and people, as certificates bear them: spiffe://<deployment>/service/<service>/<name> for what runs,
 * spiffe://<deployment>/<kind>/<name> for who calls.
 */

/** Parts of Urna itself, each with a folder of its own. */
export const serviceKinds = ["router", "shard", "tally"] as const;
/**
 * Who calls: `client` casts votes and reads, `auditor` also reads what the shards count, `operator` looks at everything and
 * changes nothing, `admin` may change elections.
 */
export const callerKinds = ["client", "auditor", "operator", "admin"] as const;
export const identityKinds = [...serviceKinds, ...callerKinds] as const;

export type ServiceKind = (typeof serviceKinds)[number];
export type IdentityKind = (typeof identityKinds)[number];

export type SpiffeId = { readonly deployment: string; readonly kind: IdentityKind; readonly name: string };

const namePattern = /^[A-Za-z0-9._-]{1,64}$/;
/** A trust domain: SPIFFE allows lower-case letters, digits, dots, dashes and underscores. */
const deploymentPattern = /^[a-z0-9._-]{1,63}$/;

export function isServiceKind(kind: string): kind is ServiceKind {
  return (serviceKinds as readonly string[]).includes(kind);
}

export function isIdentityKind(kind: string): kind is IdentityKind {
  return (identityKinds as readonly string[]).includes(kind);
}

/** Throws RangeError when a part cannot be in an id. */
export function formatSpiffeId({ deployment, kind, name }: SpiffeId): string {
  if (!deploymentPattern.test(deployment)) {
    throw new RangeError(`"${deployment}" cannot be a trust domain: lower-case letters, digits, dots and dashes`);
  }
  if (!namePattern.test(name)) throw new RangeError(`"${name}" cannot be a name: letters, digits, dots and dashes`);
  return isServiceKind(kind)
    ? `spiffe://${deployment}/service/${kind}/${name}`
    : `spiffe://${deployment}/${kind}/${name}`;
}

/** Undefined for what is not one of ours. */
export function parseSpiffeId(uri: string): SpiffeId | undefined {
  const [, deployment = "", service, kind = "", name = ""] =
    /^spiffe:\/\/([^/]*)\/(service\/)?([^/]+)\/([^/]+)$/.exec(uri) ?? [];
  if (!deploymentPattern.test(deployment) || !namePattern.test(name) || !isIdentityKind(kind)) return undefined;
  if (isServiceKind(kind) !== (service !== undefined)) return undefined;
  return { deployment, kind, name };
}

/** The name of a deployment as a trust domain. */
export function trustDomainOf(deployment: string): string {
  return deployment
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]/g, "-")
    .slice(0, 63);
}

/** The one id that a certificate's alternative names ("DNS:a, URI:spiffe://…") bear; undefined for none of ours, or several. */
export function spiffeIdOf(subjectAltName: string | undefined): SpiffeId | undefined {
  // A name that holds a comma is in quotes: it could pretend to be several.
  if (subjectAltName?.includes('"') === true) return undefined;
  const uris = (subjectAltName ?? "").split(", ").filter((name) => name.startsWith("URI:"));
  const [only = ""] = uris;
  return uris.length === 1 ? parseSpiffeId(only.slice("URI:".length)) : undefined;
}
