import { describe, expect, test } from "vitest";
import {
  defaultExportFaults,
  documentFaults,
  environmentFaults,
  importFaults,
  lengthFaults,
  nameFaults,
  pathsNamedIn,
  sourceFiles,
} from "./room-rules.ts";

const files = sourceFiles();

describe("the rooms", () => {
  test("import toward proto and mesh; services never import one another", () => {
    expect(importFaults(files)).toEqual([]);
  });
  test("name each file after the noun that it holds", () => expect(nameFaults(files)).toEqual([]));
  test("have no file over 400 lines", () => expect(lengthFaults(files)).toEqual([]));
  test("have no default exports", () => expect(defaultExportFaults(files)).toEqual([]));
  test("read the environment in config.ts alone", () => expect(environmentFaults(files)).toEqual([]));
  test("are described by documents that name only files that exist", () => expect(documentFaults()).toEqual([]));
});

describe("the rules themselves", () => {
  const fault = (path: string, text: string) => [{ path, text }];

  test.each([
    ["router/main.ts", 'import { x } from "#deploy/demo.ts";'],
    ["router/a.ts", 'import { x } from "#tally/frame.ts";'],
    ["router/a.ts", 'import type { X } from "../tally/frame.ts";'],
    ["tally/a.ts", 'export { x } from "#shard-node/batch.ts";'],
    ["mesh/a.ts", 'import {\n  x,\n} from "#deploy/demo.ts";'],
    ["shard-node/migrate.ts", 'const x = await import("#bench/replay.ts");'],
    ["proto/a.ts", 'import "#mesh/log.ts";'],
  ])("%s may not say %s", (path, text) => expect(importFaults(fault(path, text))).toHaveLength(1));

  test.each([
    ["router/a.ts", 'import { x } from "#mesh/log.ts";\nimport { y } from "./b.ts";'],
    ["router/a.cluster.test.ts", 'import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";'],
    ["shard-node/a/b.ts", 'import { x } from "../c.ts";'],
  ])("%s may say %s", (path, text) => expect(importFaults(fault(path, text))).toEqual([]));

  test("what a program loads may not use a test's rooms, however far away it is", () => {
    const main = { path: "router/main.ts", text: 'import { a } from "./a.ts";' };
    const loaded = { path: "router/a.ts", text: 'import { replay } from "#bench/replay.ts";' };
    const shared = { path: "router/stories.ts", text: 'import { replay } from "#bench/replay.ts";' };
    expect(importFaults([main, loaded, shared])).toEqual(["router/a.ts imports #bench/replay.ts: router may not"]);
  });

  test("find banned names, long files, default exports and reads of the environment", () => {
    expect(nameFaults(fault("router/utils.ts", ""))).toHaveLength(1);
    expect(nameFaults(fault("router/types.test.ts", ""))).toHaveLength(1);
    expect(lengthFaults(fault("router/a.ts", "x\n".repeat(401)))).toHaveLength(1);
    expect(lengthFaults(fault("router/a.ts", "x\n".repeat(400)))).toEqual([]);
    expect(defaultExportFaults(fault("router/a.ts", "export default 1;"))).toHaveLength(1);
    expect(environmentFaults(fault("router/a.ts", "const x = process.env.X;"))).toHaveLength(1);
    expect(environmentFaults(fault("router/a.ts", "const { env } = process;"))).toHaveLength(1);
    expect(environmentFaults(fault("router/config.ts", "process.env"))).toEqual([]);
  });

  test("find the paths of a document", () => {
    const text = "See `router/main.ts`, `takeover.ts`, `.urna/endpoints.json`, `a/b`, `npm start` and [it](docs/x.md).";
    expect(pathsNamedIn(text)).toEqual(["router/main.ts", "takeover.ts", "docs/x.md"]);
  });
});
