/** The programs of others that the mesh profile needs: what is good enough, and where a missing one comes from. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ToolVariable } from "./config.ts";
import type { GoProgram } from "./go-module.ts";

export type Version = readonly number[];

export type Tool = {
  /** Of the program on the PATH. */
  readonly program: string;
  readonly title: string;
  /** Names another program in the environment. */
  readonly variable: ToolVariable;
  readonly versionArgs: readonly string[];
  /** Its first group is the version. */
  readonly versionPattern: RegExp;
  readonly versionMin: Version;
};

/** Built by Go when there is no good enough one. */
export type GoTool = Tool & { readonly build: GoProgram };

/** Sessions' health checks and the user interface as the mesh needs them; newer ones are only better. */
export const consul: GoTool = {
  program: "consul",
  title: "Consul",
  variable: "URNA_CONSUL",
  versionArgs: ["version"],
  versionPattern: /^Consul v(\d+\.\d+\.\d+)/m,
  versionMin: [1, 18],
  build: moduleOf("consul", "Consul", "github.com/hashicorp/consul", "", {
    downloadLimitMs: 300_000,
    // Measured: 200 s alone on two cores.
    buildLimitMs: 1_200_000,
  }),
};

export const ghz: GoTool = {
  program: "ghz",
  title: "ghz",
  variable: "URNA_GHZ",
  versionArgs: ["--version"],
  versionPattern: /(?:^|\s)v?(\d+\.\d+\.\d+)\s*$/m,
  versionMin: [0, 117],
  build: moduleOf("ghz", "ghz", "github.com/bojand/ghz", "/cmd/ghz", smallLimits()),
};

/** Reflection in its released version came with 1.9. */
export const grpcurl: GoTool = {
  program: "grpcurl",
  title: "grpcurl",
  variable: "URNA_GRPCURL",
  versionArgs: ["-version"],
  versionPattern: /(?:^|\s)v?(\d+\.\d+\.\d+)\s*$/m,
  versionMin: [1, 9],
  build: moduleOf("grpcurl", "grpcurl", "github.com/fullstorydev/grpcurl", "/cmd/grpcurl", smallLimits()),
};

export const redis: Tool = {
  program: "redis-server",
  title: "Redis",
  variable: "URNA_REDIS",
  versionArgs: ["--version"],
  versionPattern: /v=(\d+\.\d+\.\d+)/,
  versionMin: [7, 0],
};

type Limits = Pick<GoProgram, "downloadLimitMs" | "buildLimitMs">;

function smallLimits(): Limits {
  return { downloadLimitMs: 180_000, buildLimitMs: 600_000 };
}

/** `deploy/tools/<name>` pins the module's version; programs that do not know their own are told it. */
function moduleOf(name: string, title: string, module: string, command: string, limits: Limits): GoProgram {
  const folder = join(import.meta.dirname, "tools", name);
  const required = new RegExp(`^(?:require\\s+|\\s+)${module} v(\\S+)`, "m");
  const version = required.exec(readFileSync(join(folder, "go.mod"), "utf8"))?.[1];
  if (version === undefined) throw new Error(`${folder}/go.mod does not require ${module}`);
  const named = command === "" ? "" : ` -X main.version=v${version}`;
  return {
    title: `${title} ${version}`,
    cacheName: `${name}-${version}`,
    folder,
    package: `${module}${command}`,
    linkerFlags: `-s -w${named}`,
    ...limits,
  };
}
