import { expect, test } from "vitest";
import { ConfigReader } from "#mesh/config-reader.ts";
import { readMeshConfig } from "#mesh/mesh-config.ts";

const consul = (address: string) =>
  readMeshConfig(
    new ConfigReader({
      URNA_CONSUL_ADDRESS: address,
      URNA_CONSUL_CA_FILE: "ca.pem",
      URNA_CONSUL_TOKEN_FILE: "token",
      URNA_DIRECTORY_CACHE_FILE: "directory.json",
    }),
  ).discovery;

test("Consul is asked by https alone: whoever asks shows a token", () => {
  expect(consul("https://127.0.0.1:8501")).toMatchObject({ kind: "consul", address: "https://127.0.0.1:8501" });
  for (const address of ["http://127.0.0.1:8500", "127.0.0.1:8500", "https://", "https://a b"]) {
    expect(() => consul(address)).toThrow(`URNA_CONSUL_ADDRESS must be an https URL, not "${address}"`);
  }
});
