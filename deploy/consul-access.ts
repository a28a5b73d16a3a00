/** Writes policies and tokens into a Consul, where they are missing or not as they should be: at every start. */
import type { ConsulApi } from "#mesh/consul/consul-api.ts";
import type { ConsulHolder } from "./consul-policies.ts";
import { consulHolders, policyName, policyRules } from "./consul-policies.ts";
import type { ConsulSecrets } from "./consul-secrets.ts";

/** Of what Consul answers, what is read here. */
type Policy = { readonly ID: string; readonly Name: string };
type PolicyRules = { readonly Rules: string };
type Token = {
  readonly AccessorID: string;
  readonly SecretID: string;
  readonly Policies?: readonly { readonly Name: string }[] | null;
};

/** `api` has the management token. Answers the names of what it wrote. */
export async function ensureConsulAccess(
  api: ConsulApi,
  secrets: ConsulSecrets,
  nodes: readonly string[],
): Promise<string[]> {
  const [policies, tokens] = await Promise.all([api.get("/acl/policies"), api.get("/acl/tokens")]);
  const written = await Promise.all(
    consulHolders.map(async (holder) => {
      const policy = (policies as Policy[]).find(({ Name }) => Name === policyName(holder));
      const token = (tokens as Token[]).find(({ SecretID }) => SecretID === secrets.token(holder));
      return [
        ...(await ensurePolicy(api, holder, policyRules(holder, nodes), policy)),
        ...(await ensureToken(api, holder, secrets.token(holder), token)),
      ];
    }),
  );
  return written.flat();
}

async function ensurePolicy(
  api: ConsulApi,
  holder: ConsulHolder,
  rules: string,
  listed: Policy | undefined,
): Promise<string[]> {
  const name = policyName(holder);
  // The list has no rules.
  const found = listed && ((await api.get(`/acl/policy/${listed.ID}`)) as PolicyRules);
  if (found?.Rules === rules) return [];
  const policy = { Name: name, Description: `What a ${holder} of Urna may do`, Rules: rules };
  await api.put(listed === undefined ? "/acl/policy" : `/acl/policy/${listed.ID}`, policy);
  return [`policy ${name}`];
}

/** The secret is ours to choose, so the same one comes back after Consul has lost everything. */
async function ensureToken(
  api: ConsulApi,
  holder: ConsulHolder,
  secret: string,
  listed: Token | undefined,
): Promise<string[]> {
  const name = policyName(holder);
  const granted = listed?.Policies ?? [];
  if (granted.length === 1 && granted[0]?.Name === name) return [];
  const token = { Description: `Of a ${holder} of Urna`, Policies: [{ Name: name }], SecretID: secret };
  await api.put(listed === undefined ? "/acl/token" : `/acl/token/${listed.AccessorID}`, token);
  return [`token ${name}`];
}
