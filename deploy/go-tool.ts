/** Consul, ghz and grpcurl: a good enough one of this machine, else built from source by Go, once. */
import { buildGoProgram, builtProgram, missingGo } from "./go-module.ts";
import type { GoTool } from "./tool-catalogue.ts";
import { consul, ghz, grpcurl } from "./tool-catalogue.ts";
import type { ToolPlaces } from "./tool-search.ts";
import { searchTool, ToolMissingError, toolPlaces } from "./tool-search.ts";

type Log = (line: string) => void;

/** Each answers the path of the program. Throws ToolMissingError, with what to do about it. */
export const findConsul = (log: Log): Promise<string> => findGoTool(consul, log);
export const findGhz = (log: Log): Promise<string> => findGoTool(ghz, log);
export const findGrpcurl = (log: Log): Promise<string> => findGoTool(grpcurl, log);

export async function findGoTool(tool: GoTool, log: Log, places: ToolPlaces = toolPlaces): Promise<string> {
  const found = await searchTool(tool, places);
  if (found.path !== undefined) return found.path;
  const { title, variable, build } = tool;
  const built = await builtProgram(build);
  if (built !== undefined) return built;
  const missing = await missingGo(build, `to build ${title}`, places.path);
  if (missing !== undefined) {
    throw new ToolMissingError(`${found.why}, and ${missing}; or name a ${title} with ${variable}=PATH`);
  }
  return buildGoProgram(build, log, places.path).catch((error: unknown) => {
    throw new ToolMissingError(`${found.why}, and ${error instanceof Error ? error.message : error}`);
  });
}
