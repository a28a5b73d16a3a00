/** How a router stands, as operators read it in the registry. */
import { grouped, type Standing, serviceMeta, statusOf } from "#mesh/announcing.ts";
import type { Directory } from "#mesh/directory.ts";
import type { HostPort } from "#mesh/host-port.ts";
import type { Admission } from "./admission.ts";
import type { ShardLink } from "./shard-link.ts";
import type { ShardLinks } from "./shard-links.ts";

export type AnnouncedRouter = {
  readonly name: string;
  readonly addresses: { readonly grpc: HostPort; readonly connect: HostPort; readonly metrics: HostPort };
  readonly links: ShardLinks;
  readonly admission: Admission;
  readonly directory: Directory;
  /** Why a part is out of order that the router can do without; empty ones are not shown. */
  readonly troubles: () => readonly string[];
};

/** From this share of its votes on a router is called overloaded. */
const fullShare = 0.8;

function namesOf(links: readonly ShardLink[]): string[] {
  return links.map(({ shardId }) => `shard ${shardId}`);
}

function warning(names: readonly string[], line: (names: string) => string) {
  return names.length === 0 ? [] : [{ level: "warning" as const, line: line(names.join(", ")) }];
}

export function standingOf(parts: AnnouncedRouter): Standing {
  const { links, admission, directory } = parts;
  const { grpc, ...others } = parts.addresses;
  const { epoch } = directory.current.map;
  const away = namesOf(links.links.filter(({ connected }) => !connected));
  const still = namesOf(links.links.filter(({ connected, door }) => connected && door.state !== "closed"));
  const slow = namesOf(links.links.filter(({ door }) => door.state === "closed" && door.shedding));
  const lost = away.length === links.links.length ? ("critical" as const) : ("warning" as const);
  const refusals = links.allNodes.flatMap(({ refusal }) => (refusal === undefined ? [] : [refusal]));
  const troubles = [
    ...refusals.map((line) => ({ level: lost, line })),
    ...(away.length === 0 ? [] : [{ level: lost, line: `no writer of ${away.join(", ")}` }]),
    ...warning(still, (names) => `${names}: nothing is settled, its votes are refused`),
    ...warning(slow, (names) => `${names}: votes wait too long, new ones are refused`),
    ...(admission.votes < fullShare * admission.votesMax ? [] : [{ level: "warning", line: "overloaded" } as const]),
    ...parts.troubles().flatMap((line) => (line === "" ? [] : [{ level: "warning", line } as const])),
  ];
  const reached = links.links.length - away.length;
  const well = `${reached} of ${links.links.length} shards reached, ${grouped(admission.votes)} votes held, map epoch ${epoch}`;
  return {
    announcement: {
      service: "urna-router",
      id: parts.name,
      ...grpc,
      tags: [],
      meta: { ...serviceMeta(others), epoch: String(epoch) },
    },
    status: statusOf("router", troubles, well),
  };
}
