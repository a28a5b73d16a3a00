/** Looks for a tool on this machine: the one that the environment names, else the one on the PATH. */
import { execFile } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { developerEnvironment, namedTools } from "./config.ts";
import type { Tool, Version } from "./tool-catalogue.ts";

const run = promisify(execFile);
const askLimitMs = 30_000;

/** Where to look; a test gives its own. */
export type ToolPlaces = {
  /** The program that URNA_CONSUL= and its like name. */
  readonly named: Readonly<Record<string, string | undefined>>;
  readonly path: string;
};

export const toolPlaces: ToolPlaces = { named: namedTools, path: developerEnvironment["PATH"] ?? "" };

/** Why a tool cannot be had here, as a sentence. */
export class ToolMissingError extends Error {
  override readonly name = "ToolMissingError";
}

export type ToolFound = { readonly path: string } | { readonly path: undefined; readonly why: string };

/** `why` says what there is instead. Throws ToolMissingError when the environment names one that will not do. */
export async function searchTool(tool: Tool, places: ToolPlaces = toolPlaces): Promise<ToolFound> {
  const named = places.named[tool.variable];
  if (named) {
    const fault = await faultOf(tool, named);
    if (fault === undefined) return { path: named };
    throw new ToolMissingError(`${tool.variable}=${named}: ${fault}`);
  }
  const path = onPath(tool.program, places.path);
  if (path === undefined) return { path, why: `there is no ${tool.program} on the PATH` };
  const fault = await faultOf(tool, path);
  return fault === undefined ? { path } : { path: undefined, why: `${path}: ${fault}` };
}

/** What is wrong with this program; undefined when it is good enough. */
async function faultOf(tool: Tool, path: string): Promise<string | undefined> {
  const wanted = `${tool.title} ${tool.versionMin.join(".")} or newer is needed`;
  const said = await run(path, [...tool.versionArgs], { timeout: askLimitMs }).catch(
    (error: unknown) => error as Error,
  );
  if (said instanceof Error) return `it does not run (${said.message.trim().split("\n")[0]}); ${wanted}`;
  const version = tool.versionPattern.exec(`${said.stdout}${said.stderr}`)?.[1];
  if (version === undefined) return `it does not say its version; ${wanted}`;
  return isAtLeast(version.split(".").map(Number), tool.versionMin) ? undefined : `it is ${version}; ${wanted}`;
}

function isAtLeast(version: Version, least: Version): boolean {
  for (const [position, part] of least.entries()) {
    const own = version[position] ?? 0;
    if (own !== part) return own > part;
  }
  return true;
}

/** The first file of this name that may be executed. */
export function onPath(program: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, program))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
