import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { DescFile } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { mayCall, permittedServices, serversOf } from "#mesh/call-permissions.ts";
import { permissionsTable } from "#mesh/permissions-page.ts";
import { identityKinds } from "#mesh/spiffe-id.ts";
import { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";

const generated = join(import.meta.dirname, "../proto/generated/urna/v1");

async function contractFiles(): Promise<DescFile[]> {
  const modules = readdirSync(generated).filter((name) => name.endsWith("_pb.js"));
  const loaded = await Promise.all(
    modules.map((name) => import(join(generated, name)) as Promise<Record<string, unknown>>),
  );
  return loaded.flatMap((exported) =>
    Object.entries(exported).flatMap(([name, value]) => (name.startsWith("file_") ? [value as DescFile] : [])),
  );
}

test("every method of every service of the contract is in the table, with somebody who may call it", async () => {
  const services = (await contractFiles()).flatMap((file) => file.services);
  expect(services.length).toBeGreaterThan(5);
  expect(permittedServices.map(({ service }) => service.typeName).sort()).toEqual(
    services.map(({ typeName }) => typeName).sort(),
  );
  for (const service of services) {
    expect(serversOf(service), service.typeName).not.toEqual([]);
    for (const { name } of service.methods) expect(mayCall(`${service.typeName}/${name}`), name).not.toEqual([]);
  }
});

test("only routers record votes, only tally and auditors watch counts, only an admin changes elections", () => {
  const whoMay = (rpc: string) => identityKinds.filter((kind) => mayCall(`urna.v1.${rpc}`).includes(kind));
  expect(whoMay("ShardService/RecordVotes")).toEqual(["router"]);
  expect(whoMay("ShardService/WatchCounts")).toEqual(["tally", "auditor"]);
  for (const change of ["CreateElection", "OpenElection", "CloseElection"]) {
    expect(whoMay(`ElectionService/${change}`)).toEqual(["admin"]);
  }
  expect(whoMay("LedgerService/AcceptLoss")).toEqual(["admin"]);
  expect(whoMay("ShardService/NoSuchMethod")).toEqual([]);
  expect(serversOf(ShardService)).toEqual(["shard"]);
});

test("docs/identity.md shows the table as it is", () => {
  const page = readFileSync(join(import.meta.dirname, "../docs/identity.md"), "utf8");
  // To be written anew with: node mesh/permissions-page.ts
  expect(page).toContain(`\n${permissionsTable()}\n`);
});
