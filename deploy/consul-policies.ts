/**
 * What each holder of a Consul token may do: no more than it needs, because a token is a file that can leak. Consul
 * denies everything else, and everything to whoever has no token. docs/consul.md explains each line to operators.
 */

/** Whoever has a token of its own. `shard` is a shard node, `postgres` whatever registers urna-postgres. */
export const consulHolders = ["router", "shard", "tally", "postgres", "agent", "operator", "viewer"] as const;

export type ConsulHolder = (typeof consulHolders)[number];

/** The name in Consul's lists. */
export const policyName = (holder: ConsulHolder) => `urna-${holder}`;

/** Who serves and where, and which intentions take paths away; neither is a secret of the deployment. */
const addresses = `
node_prefix "" { policy = "read" }
service_prefix "urna-" {
  policy     = "read"
  intentions = "read"
}`;

/** Which shards there are, and who has which slots. */
const shardMap = `
key "urna/map" { policy = "read" }`;

const registers = (service: string) => `
service "${service}" {
  policy     = "write"
  intentions = "read"
}`;

/** In Consul's language. `nodes` are the names of all agents. */
export function policyRules(holder: ConsulHolder, nodes: readonly string[]): string {
  return rulesOf(holder, nodes).trim();
}

function rulesOf(holder: ConsulHolder, nodes: readonly string[]): string {
  switch (holder) {
    case "router":
      return `${addresses}${shardMap}${registers("urna-router")}`;
    case "shard":
      return `${addresses}${registers("urna-shard")}
key_prefix "urna/" { policy = "write" }`;
    case "tally":
      return `${addresses}${shardMap}${registers("urna-tally")}`;
    case "postgres":
      return registers("urna-postgres");
    case "agent":
      return `${nodes.map((node) => `node "${node}" { policy = "write" }`).join("\n")}
service_prefix "" { policy = "read" }`;
    case "operator":
      return `${everythingReadable("write")}
key_prefix "urna/" { policy = "write" }
operator = "read"`;
    case "viewer":
      return `${everythingReadable("read")}
key_prefix "urna/" { policy = "read" }`;
  }
}

const everythingReadable = (intentions: "read" | "write") => `
agent_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
service_prefix "" {
  policy     = "read"
  intentions = "${intentions}"
}`;
