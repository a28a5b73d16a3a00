/** What a later start in the same folder must go on with. */
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { replaceJsonFile } from "./file-writing.ts";

const schemaVersion = 1;

export type RunState = {
  readonly schema_version: typeof schemaVersion;
  /** Of the first start; a folder keeps it. */
  readonly run_id: string;
  readonly shards: number;
  readonly postgres_version: number;
  /** By the names of port-plan.ts. */
  readonly ports: Readonly<Record<string, number>>;
  /** Where processes start from, when that is not the checkout of the launcher itself. */
  readonly release?: {
    readonly checkout: string;
    /** The checkout of the launcher that was told so: whoever starts another one has chosen anew. */
    readonly launcher: string;
  };
};

export class RunMismatchError extends Error {
  constructor(folder: string, what: string, has: number, wanted: number) {
    super(
      `${folder} holds a run with ${has} ${what}, not ${wanted}: its votes lie there. ` +
        `Start it with ${has}, or choose another folder with --dir`,
    );
    this.name = "RunMismatchError";
  }
}

/** Undefined before the first start. */
export function readRunState(stateFile: string): RunState | undefined {
  if (!existsSync(stateFile)) return undefined;
  const state = JSON.parse(readFileSync(stateFile, "utf8")) as RunState;
  if (state.schema_version !== schemaVersion) {
    throw new Error(`${stateFile}: schema_version is ${state.schema_version}, and this program knows ${schemaVersion}`);
  }
  return state;
}

/** The state of this start, written before anything is made. Throws RunMismatchError where the folder holds another. */
export function enterRunState(
  folder: string,
  stateFile: string,
  wanted: { readonly shards: number | undefined; readonly postgresVersion: number },
): { readonly state: RunState; readonly isNew: boolean } {
  const found = readRunState(stateFile);
  if (found === undefined) {
    const state: RunState = {
      schema_version: schemaVersion,
      run_id: randomUUID(),
      shards: wanted.shards ?? shardsDefault,
      postgres_version: wanted.postgresVersion,
      ports: {},
    };
    replaceJsonFile(stateFile, state);
    return { state, isNew: true };
  }
  if (wanted.shards !== undefined && wanted.shards !== found.shards) {
    throw new RunMismatchError(folder, "shards", found.shards, wanted.shards);
  }
  if (wanted.postgresVersion !== found.postgres_version) {
    throw new RunMismatchError(folder, "as its Postgres version", found.postgres_version, wanted.postgresVersion);
  }
  return { state: found, isNew: false };
}

/** Undefined: processes start from the launcher's own checkout. */
export function keepRelease(stateFile: string, release: RunState["release"]): void {
  const { release: _, ...state } = readRunState(stateFile) ?? {};
  replaceJsonFile(stateFile, release === undefined ? state : { ...state, release });
}

export const shardsDefault = 2;
