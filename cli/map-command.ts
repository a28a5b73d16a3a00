/** `urna map show|check|history` */
import type { Command } from "commander";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { callerIdentity } from "./caller-identity.ts";
import type { CommandContext } from "./command-context.ts";
import { withExamples } from "./command-context.ts";
import type { ExitCode } from "./exit-code.ts";
import { exitCode, UnreachableError } from "./exit-code.ts";
import type { AskedNode } from "./map-check.ts";
import { askNodes, askRouters, mapDifferences, rangesText } from "./map-check.ts";
import type { MapOptions } from "./map-source.ts";
import { readMapSource } from "./map-source.ts";
import { plainText, textTable } from "./text-table.ts";

export function addMapCommand(program: Command, context: CommandContext, endWith: (code: ExitCode) => void): void {
  const map = program
    .command("map")
    .summary("show the shard map, and compare it with the shards")
    .description(
      "The shard map says which shard owns which slots. Routers follow a copy of it, in Consul or in a file; what counts " +
        "is what each shard's own database says.",
    );
  const show = map
    .command("show")
    .summary("show the map that routers follow")
    .description("Shows epoch, slots and nodes, and which node of each shard is its writer.")
    .action((options: MapOptions) => showMap(options, context));
  withExamples(withMapOptions(show), "urna map show", "urna map show --json");
  const check = map
    .command("check")
    .summary("compare the map with the shards and the routers")
    .description(
      "Asks every shard's writer what it owns and every router which epoch it follows. Exits 1 on a difference.",
    )
    .action((options: MapOptions) => checkMap(options, context, endWith));
  withExamples(withMapOptions(check), "urna map check");
  const history = map
    .command("history")
    .summary("list the epochs that were published")
    .description("Lists the maps that Consul has held, the oldest first.")
    .action((options: MapOptions) => showHistory(options, context));
  withExamples(withMapOptions(history), "urna map history");
}

function withMapOptions(command: Command): Command {
  return command
    .option("--consul <url>", "Consul's agent (default: what the nearest .urna/endpoints.json says)")
    .option("--consul-token-file <file>", "file with a token that may read urna/ and the services")
    .option("--consul-ca-file <file>", "certificate authority of Consul's agent")
    .option("--json", "print JSON on standard output");
}

async function showMap(options: MapOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const source = await readMapSource(options, context);
  if (source.map === undefined) throw new UnreachableError(`${source.name}: ${source.problem}`);
  const nodes = await askNodes(source, await callerIdentity(context));
  const { deployment, epoch, shards } = source.map;
  if (options.json === true) {
    const entries = shards.map(({ shardId, slots }) => ({ id: shardId, slots, nodes: nodesJson(nodes, shardId) }));
    terminal.print(JSON.stringify({ source: source.name, deployment, epoch, shards: entries }));
    return;
  }
  terminal.print(plainText(`epoch ${epoch} of ${deployment}, from ${source.name}`));
  const rows = shards.flatMap(({ shardId, slots }) => shardRows(shardId, rangesText(slots), nodes));
  const columns = [{ head: "SHARD", align: "right" } as const, { head: "SLOTS" }, { head: "NODE", flexible: true }];
  for (const line of textTable([...columns, { head: "ROLE" }], rows)) terminal.print(line);
}

async function checkMap(
  options: MapOptions,
  context: CommandContext,
  endWith: (code: ExitCode) => void,
): Promise<void> {
  const { terminal } = context;
  const source = await readMapSource(options, context);
  const identity = await callerIdentity(context);
  const [nodes, routers] = await Promise.all([askNodes(source, identity), askRouters(source, identity)]);
  const differences = mapDifferences(source, nodes, routers).map(plainText);
  if (differences.length > 0) endWith(exitCode.refused);
  const { map, name } = source;
  if (options.json === true) {
    terminal.print(JSON.stringify({ source: name, epoch: map?.epoch ?? null, differences }));
    return;
  }
  for (const difference of differences) terminal.print(difference);
  if (map === undefined || differences.length > 0) return;
  const shards = `${map.shards.length} ${map.shards.length === 1 ? "shard has" : "shards have"}`;
  const followers = routers.length === 1 ? "1 router follows" : `${routers.length} routers follow`;
  terminal.print(plainText(`epoch ${map.epoch} of ${name} is what ${shards}, and ${followers}`));
}

async function showHistory(options: MapOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const { history, map, name } = await readMapSource(options, context);
  if (options.json === true) {
    const epochs = history?.map(({ epoch, publishedAt }) => ({ epoch, published_at: publishedAt })) ?? null;
    terminal.print(JSON.stringify({ source: name, epoch: map?.epoch ?? null, history: epochs }));
    return;
  }
  if (history === undefined) {
    terminal.print(
      plainText(`there is no history: this run keeps its map in ${name}, which holds the present one only`),
    );
    return;
  }
  const rows = history.map(({ epoch, publishedAt }) => [
    String(epoch),
    publishedAt === "" ? "unknown" : publishedAt,
    epoch === map?.epoch ? "in use" : "",
  ]);
  const columns = [{ head: "EPOCH", align: "right" } as const, { head: "PUBLISHED" }, { head: "" }];
  for (const line of textTable(columns, rows)) terminal.print(line);
}

function shardRows(shardId: number, slots: string, nodes: readonly AskedNode[]): string[][] {
  const own = nodesJson(nodes, shardId);
  if (own.length === 0) return [[String(shardId), slots, "none is registered", ""]];
  return own.map(({ address, role }, i) =>
    i === 0 ? [String(shardId), slots, address, role] : ["", "", address, role],
  );
}

/** The writer first. */
function nodesJson(nodes: readonly AskedNode[], shardId: number): { address: string; role: string }[] {
  const own = nodes
    .filter((node) => node.shardId === shardId)
    .map(({ address, status }) => ({ address, role: roleOf(status?.role) }));
  return own.sort((a, b) => Number(b.role === "writer") - Number(a.role === "writer"));
}

function roleOf(role: ShardRole | undefined): string {
  if (role === undefined) return "unreachable";
  return role === ShardRole.WRITER ? "writer" : "spare";
}
