import { expect, test } from "vitest";
import { fileMesh } from "#mesh/mesh-config.ts";
import { readConfig } from "./config.ts";

const env = {
  URNA_DIRECTORY_FILE: "directory.json",
  URNA_GRPC_LISTEN: "127.0.0.1:50052",
  URNA_CONNECT_LISTEN: "127.0.0.1:8081",
  URNA_METRICS_LISTEN: "127.0.0.1:0",
  URNA_STATE_FOLDER: "state/tally",
};

test("a whole environment is read, with defaults for what may be left out", () => {
  expect(readConfig(env)).toEqual({
    name: "tally",
    logLevel: "info",
    mesh: fileMesh("directory.json"),
    grpcListen: "127.0.0.1:50052",
    connectListen: "127.0.0.1:8081",
    metricsListen: "127.0.0.1:0",
    allowedOrigins: [],
    stateFolder: "state/tally",
  });
});

test.each(Object.keys(env))("without %s the error names it", (variable) => {
  expect(() => readConfig({ ...env, [variable]: undefined })).toThrow(variable);
});

test("an address that is none is named", () => {
  expect(() => readConfig({ ...env, URNA_CONNECT_LISTEN: "nowhere" })).toThrow(/URNA_CONNECT_LISTEN.*nowhere/);
});
