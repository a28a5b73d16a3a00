/** A real Consul for a test, on free ports: servers, an agent, policies, tokens. */
import type { ConsulApi } from "#mesh/consul/consul-api.ts";
import { ConsulCluster } from "./consul-cluster.ts";
import type { ConsulHolder } from "./consul-policies.ts";
import type { ConsulServerCount } from "./consul-settings.ts";
import { consulPortNames } from "./consul-settings.ts";
import { findConsul } from "./go-tool.ts";
import { HeldPorts } from "./port-plan.ts";
import { ProcessRig } from "./process-rig.ts";
import type { Supervisor } from "./supervisor.ts";

export type ConsulRigOptions = {
  readonly servers?: ConsulServerCount;
  readonly log?: (line: string) => void;
};

export class ConsulRig {
  readonly cluster: ConsulCluster;
  readonly #rig: ProcessRig;
  readonly #apis: ConsulApi[] = [];

  private constructor(rig: ProcessRig, cluster: ConsulCluster) {
    this.#rig = rig;
    this.cluster = cluster;
  }

  /** Throws ToolMissingError where there is no Consul. */
  static async start({ servers = 1, log = () => {} }: ConsulRigOptions = {}): Promise<ConsulRig> {
    const program = await findConsul(log);
    const rig = await ProcessRig.open({ log });
    try {
      const ports = await HeldPorts.take(consulPortNames(servers), 0);
      const cluster = await ConsulCluster.make({
        program,
        folder: rig.paths.consul,
        secretsFolder: rig.paths.secrets,
        servers,
        ports,
        logFile: (name) => rig.logFile(name),
        supervise: (process) => rig.supervise(process, () => ports.release(process.name)),
        log,
      });
      await cluster.start();
      return new ConsulRig(rig, cluster);
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  /** What a holder of this token can do; undefined is nobody's token. */
  as(holder: ConsulHolder | undefined): ConsulApi {
    return this.withToken(holder === undefined ? undefined : this.cluster.secrets.token(holder));
  }

  withToken(token: string | undefined): ConsulApi {
    const api = this.cluster.api(token);
    this.#apis.push(api);
    return api;
  }

  /** consul-agent, consul-server-0, … */
  process(name: string): Supervisor {
    const found = this.cluster.supervisors.find((supervisor) => supervisor.name === name);
    if (found === undefined) throw new Error(`there is no ${name} in this Consul`);
    return found;
  }

  /** It stays ended until it is started. */
  async kill(name: string): Promise<void> {
    const { running } = this.process(name);
    running?.signal("SIGKILL");
    await running?.exited;
  }

  freeze(name: string): void {
    this.process(name).signal("SIGSTOP");
  }

  thaw(name: string): void {
    this.process(name).signal("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const api of this.#apis) api.close();
    await this.#rig.close();
  }
}
