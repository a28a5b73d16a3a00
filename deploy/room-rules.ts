/**
 * What a linter does not know about this project: who may import whom, how files are called, how long they are, where
 * the environment is read, and that the documents name files that exist. Each rule answers its faults in words.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { checkoutRoot } from "./own-node.ts";

export type SourceFile = { readonly path: string; readonly text: string };

/** Which rooms each room may import from, besides itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  proto: [],
  mesh: ["proto"],
  router: ["proto", "mesh"],
  "shard-node": ["proto", "mesh"],
  tally: ["proto", "mesh"],
  web: ["proto", "mesh"],
  auditor: ["proto", "mesh"],
  bench: ["proto", "mesh", "deploy", "auditor"],
  deploy: ["proto", "mesh", "bench", "web"],
  cli: ["proto", "mesh", "auditor", "bench", "deploy"],
  spec: ["proto"],
};

/** Tests start clusters and drive them. So may the files that they share: all that no program of the room loads. */
const testsMayImport = ["deploy", "bench"];
const programs = /^[\w-]+\/(main|migrate)\.ts$/;

const bannedNames = /^(utils?|helpers?|common|lib|misc|types?|interfaces?)$/;
const linesMax = 400;

/** The model is a program of its own; the bootstrap runs before anything is installed. */
const mayReadEnvironment = /(^|\/)config\.ts$|\.test\.ts$|^spec\/|^deploy\/bootstrap\.cjs$|^vitest\.config\.ts$/;

const documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];
const notOurs = /^(node_modules|dist|\.git|\.urna|results)$|^proto\/generated$/;

/** Every program of the checkout. */
export function sourceFiles(): SourceFile[] {
  return allPaths()
    .filter((path) => /\.(ts|cjs|mjs|js)$/.test(path))
    .map((path) => ({ path, text: readFileSync(join(checkoutRoot, path), "utf8") }));
}

export function importFaults(files: readonly SourceFile[]): string[] {
  const loaded = loadedByPrograms(files);
  return files.flatMap(({ path, text }) => {
    const room = roomOf(path);
    const allowed = [room, ...(mayImport[room] ?? []), ...(loaded.has(path) ? [] : testsMayImport)];
    return importsOf(text).flatMap((target) => {
      const alias = /^#([^/]+)\//.exec(target)?.[1];
      if (alias !== undefined && !allowed.includes(alias)) return [`${path} imports ${target}: ${room} may not`];
      const leavesRoom = target.startsWith(".") && roomOf(join(path, "..", target)) !== room;
      return leavesRoom && !target.endsWith(".json") && path.endsWith(".ts")
        ? [`${path} imports ${target}: across rooms it is #room/file`]
        : [];
    });
  });
}

/** The files that programs load, directly or not; proto and mesh have no programs, and all that they hold is loaded. */
function loadedByPrograms(files: readonly SourceFile[]): Set<string> {
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  const loaded = new Set<string>();
  const load = (path: string) => {
    if (loaded.has(path) || !texts.has(path)) return;
    loaded.add(path);
    for (const target of importsOf(texts.get(path) ?? "")) load(resolveImport(path, target));
  };
  for (const path of texts.keys()) {
    if (programs.test(path) || (/^(proto|mesh)\//.test(path) && !path.endsWith(".test.ts"))) load(path);
  }
  return loaded;
}

function resolveImport(from: string, target: string): string {
  return target.startsWith("#") ? target.slice(1) : join(from, "..", target);
}

export function nameFaults(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path }) => bannedNames.test(basename(path).replace(/\..*$/, "")))
    .map(({ path }) => `${path} is named after no noun that it holds`);
}

export function lengthFaults(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) => {
    const lines = text.trimEnd().split("\n").length;
    return lines > linesMax ? [`${path} has ${lines} lines; ${linesMax} are the limit`] : [];
  });
}

export function defaultExportFaults(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path, text }) => /^export default\b/m.test(text) && path !== "vitest.config.ts")
    .map(({ path }) => `${path} has a default export`);
}

export function environmentFaults(files: readonly SourceFile[]): string[] {
  const reads = /\bprocess\s*\.\s*env\b|\benv\b[^;\n]*\}\s*=\s*process\b/;
  return files
    .filter(({ path, text }) => !mayReadEnvironment.test(path) && reads.test(text))
    .map(({ path }) => `${path} reads the environment; only a room's config.ts does`);
}

/** Paths in `code` of the documents: whole ones must exist, bare names of programs must be some file's. */
export function documentFaults(): string[] {
  const names = new Set(allPaths().map((path) => basename(path)));
  return documents.flatMap((document) => {
    const file = join(checkoutRoot, document);
    if (!existsSync(file)) return [];
    return pathsNamedIn(readFileSync(file, "utf8"))
      .filter((path) => !(path.includes("/") ? existsSync(join(checkoutRoot, path)) : names.has(path)))
      .map((path) => `${document} names ${path}, which does not exist`);
  });
}

export function pathsNamedIn(markdown: string): string[] {
  const spans = [...markdown.matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span);
  const links = [...markdown.matchAll(/\]\(([^)#:\s]+)\)/g)].map(([, target = ""]) => target);
  const paths = spans.filter((span) => {
    if (/^[\w-]+(\.[\w-]+)*\.(ts|cjs|sql|proto|pml)$/.test(span)) return true;
    const isPath = /^[\w.-]+(\/[\w.-]+)*\/?$/.test(span) && span.includes("/");
    return isPath && (span.split("/")[0] ?? "") in mayImport;
  });
  return [...paths, ...links];
}

function roomOf(path: string): string {
  return path.split("/")[0] ?? "";
}

function importsOf(text: string): string[] {
  const pattern =
    /(?:^|\n)\s*(?:import|export)\b[^;"']*?from\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']|^import\s*["']([^"']+)["']/gm;
  return [...text.matchAll(pattern)].map(([, from, dynamic, bare]) => from ?? dynamic ?? bare ?? "");
}

function allPaths(folder = ""): string[] {
  return readdirSync(join(checkoutRoot, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (notOurs.test(entry.name) || notOurs.test(path)) return [];
    return entry.isDirectory() ? allPaths(path) : [path];
  });
}
