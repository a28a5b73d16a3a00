import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { findEndpoints, parseEndpoints } from "./endpoints.ts";
import { UsageError } from "./exit-code.ts";

const listener = {
  pid: 1,
  grpc: "127.0.0.1:50051",
  connect: "http://127.0.0.1:8080",
  metrics: "http://127.0.0.1:9000",
};
const document = {
  schema_version: 1,
  run_id: "r",
  routers: [listener],
  tally: listener,
  web: "http://127.0.0.1:8080",
  shards: [{ id: 0, nodes: [{ pid: 2, grpc: "127.0.0.1:40001", metrics: "http://127.0.0.1:9001" }], postgres: [] }],
  admin_token_file: "admin-token",
};

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "urna-cli-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

describe("endpoints.json", () => {
  test("the nearest one is found, searching upwards; the token file stands beside it", () => {
    const folder = temporaryFolder();
    const below = join(folder, "a", "b");
    mkdirSync(below, { recursive: true });
    mkdirSync(join(folder, ".urna"));
    writeFileSync(join(folder, ".urna", "endpoints.json"), JSON.stringify(document));
    expect(findEndpoints(below)).toMatchObject({
      file: join(folder, ".urna", "endpoints.json"),
      adminTokenFile: join(folder, ".urna", "admin-token"),
      routers: [{ grpc: "127.0.0.1:50051" }],
      shards: [{ id: 0, nodes: [{ grpc: "127.0.0.1:40001" }] }],
    });
  });

  const wrong: readonly { what: string; text: string; names: string }[] = [
    { what: "is not JSON", text: "{", names: "is not JSON" },
    { what: "is of another schema version", text: '{"schema_version":2}', names: "schema_version" },
    { what: "has no routers", text: JSON.stringify({ ...document, routers: undefined }), names: "routers" },
    { what: "has a tally without an address", text: JSON.stringify({ ...document, tally: {} }), names: "tally.grpc" },
    { what: "has shards that are no list", text: JSON.stringify({ ...document, shards: 3 }), names: "shards" },
  ];
  for (const { what, text, names } of wrong) {
    test(`a file that ${what} is refused by name`, () => {
      const parse = () => parseEndpoints("/x/endpoints.json", text);
      expect(parse).toThrow(UsageError);
      expect(parse).toThrow("/x/endpoints.json");
      expect(parse).toThrow(names);
    });
  }
});
