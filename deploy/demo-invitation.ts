/** What `npm start` says when everything is up: where things are, and what to try. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import type { Endpoints, MeshEndpoints } from "./endpoints.ts";
import type { RunPaths } from "./run-paths.ts";

export function invitation(endpoints: Endpoints, paths: RunPaths, electionId: string, folderDefault: string): string[] {
  const { web, routers, tls, consul } = endpoints;
  const [{ grpc = "", connect = "" } = {}] = routers;
  const body = `{"electionId":"${electionId}"}`;
  const server = basename(paths.root) === folderDefault ? "" : ` --server ${grpc}`;
  return [
    "",
    `Results page    ${web}`,
    `gRPC            ${grpc}   (reflection is on${tls === undefined ? "" : "; callers show a certificate"})`,
    `Everything else ${paths.endpointsFile}`,
    ...(consul === undefined ? [] : consulLines(consul)),
    "",
    "Try:",
    `  curl -s -H 'content-type: application/json' -d '${body}' ${connect}/urna.v1.TallyService/GetTally`,
    `  grpcurl ${tls === undefined ? "-plaintext" : grpcurlFlags(tls)} -d '${body}' ${grpc} urna.v1.TallyService/GetTally`,
    `  npx urna tally ${electionId} --watch${server}`,
    ...(consul === undefined ? [] : ["  npx urna map show", "  npx urna roll", "  npm run ghz -- batch"]),
    "",
    "Ctrl-C stops everything; npm start goes on with the stored votes.",
  ];
}

/** Tokens are told to whoever started the run, as Consul's UI asks for one. */
function consulLines(consul: MeshEndpoints["consul"]): string[] {
  const token = (file: string) => readFileSync(file, "utf8").trim();
  return [
    "",
    `Consul          ${consul.address}/ui   (its certificate is from ${consul.ca_file})`,
    `  to look       ${token(consul.read_only_token_file)}`,
    `  to operate    ${token(consul.token_file)}   (intentions, keys under urna/)`,
  ];
}

function grpcurlFlags({ ca_file, cert_file, key_file }: MeshEndpoints["tls"]): string {
  return `-cacert ${ca_file} -cert ${cert_file} -key ${key_file}`;
}
