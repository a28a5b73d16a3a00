/**
 * Consul on one machine as it is on many: servers that nobody but agents talks to, and one agent that everything on
 * this machine talks to. Started, filled with policies and tokens, stopped; wiped, for those who test what is then.
 *
 *   consul-secrets.ts       gossip key and tokens, in files
 *   consul-certificates.ts  the authority of the agents
 *   consul-settings.ts      what each agent is told
 *   consul-process.ts       an agent
 *   consul-policies.ts      who may do what
 *   consul-access.ts        writes that into Consul
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { ConsulApi } from "#mesh/consul/consul-api.ts";
import { ensureConsulAccess } from "./consul-access.ts";
import type { ConsulCertificates } from "./consul-certificates.ts";
import { keepConsulCertificates } from "./consul-certificates.ts";
import type { ConsulHolder } from "./consul-policies.ts";
import { ConsulProcess } from "./consul-process.ts";
import { ConsulSecrets } from "./consul-secrets.ts";
import type { ConsulServerCount } from "./consul-settings.ts";
import { consulAgentName, consulConfiguration, consulDatacenter, consulServerNames } from "./consul-settings.ts";
import type { ManagedProcess } from "./managed-process.ts";
import type { HeldPorts } from "./port-plan.ts";
import type { Supervisor } from "./supervisor.ts";
import { waitFor } from "./wait-for.ts";

/** An election among servers that start takes two seconds on an idle machine. */
const readyLimitMs = 60_000;
const readyPollMs = 50;

export type ConsulClusterOptions = {
  /** Consul's. */
  readonly program: string;
  /** Of its own: configurations and data, kept. */
  readonly folder: string;
  /** Exists, and only we can read it. */
  readonly secretsFolder: string;
  readonly servers: ConsulServerCount;
  /** Those of `consulPortNames`. */
  readonly ports: HeldPorts;
  readonly logFile: (name: string) => string;
  /** Makes the supervisor, which lets go of the process' ports before each start. */
  readonly supervise: (process: ManagedProcess) => Supervisor;
  readonly log: (line: string) => void;
};

export class ConsulCluster {
  readonly secrets: ConsulSecrets;
  /** Of the authority that the API's certificate is from. */
  readonly caFile: string;
  /** The servers, then the agent. */
  readonly supervisors: readonly Supervisor[];
  readonly #options: ConsulClusterOptions;
  readonly #certificates: ConsulCertificates;
  readonly #servers: readonly Supervisor[];
  readonly #agent: Supervisor;

  private constructor(options: ConsulClusterOptions, secrets: ConsulSecrets, certificates: ConsulCertificates) {
    this.#options = options;
    this.secrets = secrets;
    this.#certificates = certificates;
    this.caFile = certificates.caFile;
    this.#servers = consulServerNames(options.servers).map((name) => options.supervise(this.#process(name)));
    this.#agent = options.supervise(this.#process(consulAgentName));
    this.supervisors = [...this.#servers, this.#agent];
  }

  /** Makes what is missing of secrets and certificates; nothing runs yet. */
  static async make(options: ConsulClusterOptions): Promise<ConsulCluster> {
    const { program, secretsFolder } = options;
    const certificates = await keepConsulCertificates(program, secretsFolder, consulDatacenter);
    return new ConsulCluster(options, new ConsulSecrets(secretsFolder), certificates);
  }

  /** Where every process of this machine finds Consul: its agent. */
  get address(): string {
    return `https://${this.#options.ports.address(`${consulAgentName}.https`)}`;
  }

  get uiUrl(): string {
    return `${this.address}/ui`;
  }

  tokenFile(holder: ConsulHolder): string {
    return this.secrets.tokenFile(holder);
  }

  /** For tests and operators' commands: the agent's API with this token; undefined is nobody's. */
  api(token: string | undefined): ConsulApi {
    return new ConsulApi({ address: this.address, caFile: this.caFile, token });
  }

  /** Resolves when the agent serves, with all tokens known. What runs already stays. */
  async start(): Promise<void> {
    const { log, servers } = this.#options;
    log(`starting Consul: ${servers === 1 ? "a server" : `${servers} servers`} and an agent`);
    await settle(this.#servers.map((server) => server.start()));
    await this.ensureAccess();
    await this.#agent.start();
    await this.untilReady();
    log(`Consul is ready: ${this.uiUrl}`);
  }

  /** Writes policies and tokens again, where they are missing or were changed. */
  async ensureAccess(): Promise<void> {
    const first = this.#servers.find(({ running }) => running !== undefined) ?? this.#servers[0];
    const address = `https://${this.#options.ports.address(`${first?.name}.https`)}`;
    const api = new ConsulApi({ address, caFile: this.caFile, token: this.secrets.managementToken });
    try {
      await untilLed(api);
      const nodes = this.supervisors.map(({ name }) => name);
      const written = await ensureConsulAccess(api, this.secrets, nodes);
      if (written.length > 0) this.#options.log(`Consul: wrote ${written.length} policies and tokens`);
    } finally {
      api.close();
    }
  }

  /** Resolves when the agent knows a leader, and the catalogue knows the agent. */
  async untilReady(limitMs = readyLimitMs): Promise<void> {
    const api = this.api(this.secrets.managementToken);
    try {
      await untilLed(api, limitMs);
      await waitFor("Consul's catalogue to know the agent", limitMs, async () => {
        const nodes = (await api.get("/catalog/nodes").catch(() => [])) as { readonly Node: string }[];
        return nodes.some(({ Node }) => Node === consulAgentName) ? true : undefined;
      });
    } finally {
      api.close();
    }
  }

  /** The agent first: it has no one to tell any more. */
  async stop(): Promise<void> {
    await this.#agent.stop();
    await settle(this.#servers.map((server) => server.stop()));
  }

  /** Everything that Consul knew is lost; it starts anew with the same secrets, and services must register again. */
  async wipe(): Promise<void> {
    await this.stop();
    for (const { name } of this.supervisors) rmSync(this.#dataFolder(name), { recursive: true, force: true });
    await this.start();
  }

  #dataFolder(name: string): string {
    return join(this.#options.folder, name, "data");
  }

  #process(name: string): ConsulProcess {
    const { program, folder, logFile, ports, servers } = this.#options;
    const { secrets } = this;
    const port = (use: string) => ports.ports[`${name}.${use}`] ?? 0;
    const isServer = name !== consulAgentName;
    const used = { https: port("https"), serf: port("serf"), ...(isServer ? { rpc: port("rpc") } : {}) };
    return new ConsulProcess({
      name,
      program,
      configurationFile: join(folder, name, "agent.json"),
      logFile: logFile(name),
      httpsPort: used.https,
      configuration: () =>
        consulConfiguration({
          name,
          dataFolder: this.#dataFolder(name),
          ports: used,
          certificate: isServer ? this.#certificates.server : this.#certificates.agent,
          gossipKey: secrets.gossipKey,
          agentToken: secrets.token("agent"),
          join: consulServerNames(servers).map((server) => ports.address(`${server}.serf`)),
          ...(isServer ? { server: { servers, managementToken: secrets.managementToken } } : {}),
        }),
    });
  }
}

/** The management token exists as soon as the first leader has made it. */
async function untilLed(api: ConsulApi, limitMs = readyLimitMs): Promise<void> {
  let last: unknown;
  await waitFor(
    "Consul to have a leader",
    limitMs,
    async () => {
      try {
        await api.get("/acl/token/self");
        return true;
      } catch (error) {
        last = error;
        return undefined;
      }
    },
    readyPollMs,
  ).catch((error: unknown) => {
    throw new Error(`${error instanceof Error ? error.message : error}; it says: ${last}`);
  });
}

/** Waits for all of them, then throws the first failure. */
async function settle(tasks: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(tasks)).find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
