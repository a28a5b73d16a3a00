/** An election's definition from a file: protobuf JSON of ElectionDefinition, or a CSV of results as `urna demo` takes it. */
import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { fromJson } from "@bufbuild/protobuf";
import { ElectionFileError, readElectionFile } from "#bench/election-file.ts";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionDefinitionSchema } from "#proto/generated/urna/v1/election_pb.js";
import { UsageError } from "./exit-code.ts";
import type { Terminal } from "./terminal.ts";

/** Stands for standard input. */
const standardInput = "-";

/** Throws UsageError that names the file and, in JSON, the field. */
export async function readDefinition(file: string, terminal: Terminal): Promise<ElectionDefinition> {
  if (extname(file).toLowerCase() === ".csv") return readCsv(file, terminal);
  return parseDefinition(file, await readText(file));
}

export function parseDefinition(file: string, text: string): ElectionDefinition {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new UsageError(`${file} is not JSON: ${(cause as Error).message}`);
  }
  try {
    return fromJson(ElectionDefinitionSchema, document as Parameters<typeof fromJson>[1]);
  } catch (cause) {
    throw new UsageError(`${file}: ${(cause as Error).message}`);
  }
}

async function readCsv(file: string, terminal: Terminal): Promise<ElectionDefinition> {
  try {
    const { definition, warnings } = await readElectionFile(file);
    for (const warning of warnings) terminal.note(`urna: ${warning}`);
    return definition;
  } catch (cause) {
    if (cause instanceof ElectionFileError) throw new UsageError(cause.message);
    throw unreadable(file, cause);
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await (file === standardInput ? readAll(process.stdin) : readFile(file, "utf8"));
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

/** What the file system says; anything else is a fault of ours and stays one. */
function unreadable(file: string, cause: unknown): unknown {
  const isSystemError = cause instanceof Error && "syscall" in cause;
  return isSystemError ? new UsageError(`${file} cannot be read: ${cause.message}`) : cause;
}
