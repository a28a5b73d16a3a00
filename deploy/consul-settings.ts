/** The configuration of Consul's agents, as in production: everything encrypted, everything denied, nothing unused on. */
import type { ConsulCertificate } from "./consul-certificates.ts";
import { count } from "./endpoints.ts";
import type { PortName } from "./port-plan.ts";
import { loopback } from "./postgres-settings.ts";

/** One machine needs one; three survive the loss of one. */
export type ConsulServerCount = 1 | 3;

export const consulDatacenter = "urna";
/** The agent that everything on this machine talks to. */
export const consulAgentName = "consul-agent";

export const consulServerNames = (servers: ConsulServerCount) => count(servers).map((i) => `consul-server-${i}`);

export function consulPortNames(servers: ConsulServerCount): PortName[] {
  const uses = (name: string, ports: readonly string[]) => ports.map((use) => `${name}.${use}`);
  return [
    ...uses(consulAgentName, ["https", "serf"]),
    ...consulServerNames(servers).flatMap((name) => uses(name, ["https", "serf", "rpc"])),
  ];
}

export type ConsulSettings = {
  readonly name: string;
  readonly dataFolder: string;
  readonly ports: { readonly https: number; readonly serf: number; readonly rpc?: number };
  readonly certificate: ConsulCertificate;
  readonly gossipKey: string;
  readonly agentToken: string;
  /** "host:port" of the servers' gossip; its own may be among them. */
  readonly join: readonly string[];
  /** Only a server knows the token that may do everything: it makes it when it is the first leader. */
  readonly server?: { readonly servers: ConsulServerCount; readonly managementToken: string };
};

export function consulConfiguration(settings: ConsulSettings): string {
  const { name, dataFolder, ports, certificate, gossipKey, server } = settings;
  return JSON.stringify(
    {
      datacenter: consulDatacenter,
      node_name: name,
      data_dir: dataFolder,
      bind_addr: loopback,
      advertise_addr: loopback,
      client_addr: loopback,
      ports: {
        ...unusedPorts,
        https: ports.https,
        serf_lan: ports.serf,
        ...(ports.rpc === undefined ? {} : { server: ports.rpc }),
      },
      server: server !== undefined,
      ...(server === undefined ? {} : { bootstrap_expect: server.servers }),
      retry_join: settings.join,
      retry_interval: "1s",
      encrypt: gossipKey,
      tls: {
        defaults: {
          ca_file: certificate.caFile,
          cert_file: certificate.certFile,
          key_file: certificate.keyFile,
          tls_min_version: "TLSv1_3",
          verify_incoming: true,
          verify_outgoing: true,
        },
        internal_rpc: { verify_server_hostname: true },
        // Who calls the API shows a token, and a browser has no certificate.
        https: { verify_incoming: false },
      },
      acl: {
        enabled: true,
        default_policy: "deny",
        // Servers away: what a token could do a moment ago it still can, at the agent that knows it.
        down_policy: "extend-cache",
        // A token that is revoked is refused this soon, also by the agent that knew it.
        token_ttl: "5s",
        policy_ttl: "5s",
        tokens: {
          agent: settings.agentToken,
          ...(server === undefined ? {} : { initial_management: server.managementToken }),
        },
      },
      connect: { enabled: true },
      ui_config: { enabled: true },
      performance: { raft_multiplier: 1 },
      // A status line that changes without its colour reaches the UI this fast; Consul's own default is five minutes.
      check_update_interval: "2s",
      // Every process of the machine comes from one address, with a few blocking queries each.
      limits: { http_max_conns_per_client: 1_000 },
      // A stop is not a farewell: whoever starts again is the same member.
      leave_on_terminate: false,
      skip_leave_on_interrupt: true,
      rejoin_after_leave: true,
      disable_update_check: true,
      log_level: "INFO",
    },
    undefined,
    2,
  );
}

const unused = -1;
const unusedPorts = { http: unused, dns: unused, grpc: unused, grpc_tls: unused, serf_wan: unused };
