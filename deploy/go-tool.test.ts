import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { userCacheFolder } from "./config.ts";
import { findGoTool } from "./go-tool.ts";
import { findRedis } from "./redis-binary.ts";
import type { GoTool } from "./tool-catalogue.ts";
import { consul, ghz, grpcurl } from "./tool-catalogue.ts";

const root = mkdtempSync(join(tmpdir(), "urna-tools-test-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folders = 0;

/** A folder with shell scripts: the whole PATH of a test. */
function folderWith(programs: Readonly<Record<string, string>>): string {
  const folder = join(root, `path-${folders++}`);
  mkdirSync(folder);
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

const says = (text: string) => `echo '${text}'`;
const good = "Consul v1.22.7\nRevision 9";
const old = "Consul v1.8.7+dfsg1";

/** Consul, but of a module that no cache holds. */
function unbuilt(name: string): GoTool {
  const folder = join(root, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "go.mod"), "module urna.invalid/none\n\ngo 1.26\n");
  return { ...consul, build: { ...consul.build, folder, cacheName: `test-${name}` } };
}

function find(tool: GoTool, programs: Readonly<Record<string, string>>, named?: string): Promise<string> {
  return findGoTool(tool, () => {}, { named: { [tool.variable]: named }, path: folderWith(programs) });
}

describe("a tool", () => {
  test("that the environment names is taken before the one on the PATH", async () => {
    const named = join(folderWith({ mine: says("Consul v1.20.1") }), "mine");
    expect(await find(consul, { consul: says(good) }, named)).toBe(named);
  });

  test.each([
    ["too old", says(old), "it is 1.8.7; Consul 1.18 or newer is needed"],
    ["of another kind", says("hello"), "it does not say its version"],
    ["broken", "exit 3", "it does not run"],
  ])("that the environment names and is %s is refused, also where the PATH has a good one", async (_, script, why) => {
    const named = join(folderWith({ mine: script }), "mine");
    await expect(find(consul, { consul: says(good) }, named)).rejects.toThrow(`URNA_CONSUL=${named}: ${why}`);
  });

  test("that the environment names and is not there is refused", async () => {
    await expect(find(consul, { consul: says(good) }, "/no/such/consul")).rejects.toThrow(
      /URNA_CONSUL=\/no\/such\/consul: it does not run \(.*ENOENT/,
    );
  });

  test.each([
    [consul, "consul", says(good)],
    [ghz, "ghz", says("0.120.0")],
    [grpcurl, "grpcurl", `${says("grpcurl v1.9.1")} >&2`],
  ])("on the PATH is taken when it is new enough", async (tool, program, script) => {
    expect(await find(tool, { [program]: script })).toMatch(new RegExp(`/path-\\d+/${program}$`));
  });

  test("that is nowhere, without Go, is missing in one sentence that says what would help", async () => {
    await expect(find(unbuilt("no-go"), {})).rejects.toThrow(
      "there is no consul on the PATH, and there is no Go here; to build Consul, install Go 1.26 or newer, from your " +
        "system's packages or https://go.dev/dl, with `go` on the PATH; or name a Consul with URNA_CONSUL=PATH",
    );
  });

  test("that is too old, with a Go that is too old, is missing for both reasons", async () => {
    await expect(find(unbuilt("old-go"), { consul: says(old), go: says("go1.22.3") })).rejects.toThrow(
      /consul: it is 1\.8\.7; Consul 1\.18 or newer is needed, and Go here is go1\.22\.3; to build Consul, install Go 1\.26/,
    );
  });

  test("whose modules cannot be fetched says that the proxy is to blame, and leaves nothing behind", async () => {
    const go = 'case "$1" in env) echo go1.26.1;; *) echo "dial tcp: lookup proxy: no such host" >&2; exit 1;; esac';
    await expect(find(unbuilt("no-proxy"), { go })).rejects.toThrow(
      /the Go modules that Consul .* could not be fetched .*Can this machine reach a Go module proxy[\s\S]*no such host/,
    );
    expect(readdirSync(userCacheFolder).filter((name) => name.includes("test-no-proxy"))).toEqual([]);
  });
});

describe("Redis", () => {
  const search = (programs: Readonly<Record<string, string>>, named?: string) =>
    findRedis(() => {}, { named: { URNA_REDIS: named }, path: folderWith(programs) });

  test("on the PATH is taken when it is new enough", async () => {
    const found = await search({ "redis-server": says("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0") });
    expect(found).toMatch(/redis-server$/);
  });

  test("that is too old, where no packages can be installed, is missing in one sentence", async () => {
    await expect(search({ "redis-server": says("Redis server v=6.2.1 sha=0") })).rejects.toThrow(
      /redis-server: it is 6\.2\.1; Redis 7\.0 or newer is needed; install Redis 7 or newer .* URNA_REDIS=PATH/,
    );
  });
});
