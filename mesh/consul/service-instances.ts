/** The instances of a service as Consul's catalogue lists them, whatever their health: its opinion deposes nobody. */
import { formatHostPort } from "#mesh/host-port.ts";
import { JsonReader } from "#mesh/json-reader.ts";
import { livenessCheckId } from "./service-registration.ts";

export type ServiceInstance = {
  /** Of the instance, and of the Consul node it is registered on: after a move both are listed for a while. */
  readonly key: string;
  /** "shard-0-a" */
  readonly id: string;
  readonly address: string;
  /** Undefined for services that are no shard's. */
  readonly shardId: number | undefined;
  /** "shard-0-a/1f9c…"; empty when it says nothing about it. */
  readonly process: string;
  /** False when its port refuses connections, says Consul: nobody listens there. What it says of itself is another check. */
  readonly reachable: boolean;
};

export type InstanceList = {
  readonly instances: readonly ServiceInstance[];
  /** Registrations that say nothing usable, each with what is wrong with it. */
  readonly faults: readonly string[];
};

const reader: JsonReader = new JsonReader("service");
const faultsMax = 20;
const nameLengthMax = 100;

/** Of an answer of /v1/health/service. Throws when it is no list. */
export function parseInstances(body: unknown, service: string, ofShards: boolean): InstanceList {
  const instances: ServiceInstance[] = [];
  const faults: string[] = [];
  for (const entry of reader.list(body, service)) {
    try {
      instances.push(parseInstance(entry, ofShards));
    } catch (error) {
      const { message } = error as Error;
      if (faults.length < faultsMax) faults.push(`${service} ${nameOf(entry)}: ${message}`);
    }
  }
  return { instances: instances.sort((a, b) => (a.key < b.key ? -1 : 1)), faults };
}

function parseInstance(entry: unknown, ofShards: boolean): ServiceInstance {
  const root = reader.record(entry, "the entry");
  const node = reader.record(root["Node"], "Node");
  const service = reader.record(root["Service"], "Service");
  const meta = reader.record(service["Meta"] ?? {}, "Meta");
  const id = reader.text(service["ID"], "ID");
  const host = reader.text(service["Address"] === "" ? node["Address"] : service["Address"], "Address");
  const port = reader.integer(service["Port"], "Port");
  reader.demand(port > 0, "Port must be more than 0");
  return {
    key: `${id} on ${reader.text(node["Node"], "Node.Node")}`,
    id,
    address: reader.address(formatHostPort({ host, port }), "Address"),
    shardId: ofShards ? shardIdOf(meta["shard"]) : undefined,
    process: typeof meta["process"] === "string" ? meta["process"] : "",
    reachable: !reader.list(root["Checks"] ?? [], "Checks").some((check) => isRefused(check, id)),
  };
}

function shardIdOf(value: unknown): number {
  const text = reader.text(value, "Meta.shard");
  reader.demand(/^\d{1,5}$/.test(text), "Meta.shard must be a number");
  return reader.shardId(Number(text), "Meta.shard");
}

/**
 * Critical alone does not say it: an agent that was restarted calls everybody critical until it has looked (and then has no
 * words for it), and a busy process is late.
 */
function isRefused(value: unknown, id: string): boolean {
  const { CheckID, Status, Output } = reader.record(value, "Checks");
  return CheckID === livenessCheckId(id) && Status === "critical" && /refused/.test(String(Output));
}

/** For a log line about something that may be anything. */
function nameOf(entry: unknown): string {
  const service = (entry as { Service?: { ID?: unknown } } | null)?.Service;
  return typeof service?.ID === "string" ? service.ID.slice(0, nameLengthMax) : "without an ID";
}
