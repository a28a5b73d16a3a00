/** The real ghz at a server that demands certificates: it shows the one that endpoints.json names, and wants the server's host. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CertificateRig } from "#deploy/certificate-rig.ts";
import { findGhz } from "#deploy/go-tool.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import { formatHostPort } from "#mesh/host-port.ts";
import type { TlsConfig } from "#mesh/mesh-config.ts";
import { openTlsIdentity } from "#mesh/tls-identity.ts";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { runGhz } from "./ghz-program.ts";
import { voteData } from "./ghz-votes.ts";

const missing = await toolSkipReason("ghz", findGhz);
const never = new AbortController().signal;

describe.skipIf(missing !== undefined)("ghz with a certificate", () => {
  let rig: CertificateRig;

  beforeAll(async () => {
    rig = await CertificateRig.open();
  });
  afterAll(() => rig?.close());

  /** Calls VoteService of a router whose certificate is this one, for a moment. */
  async function callsOf(routerFiles: TlsConfig, callerFiles: TlsConfig) {
    const identity = await openTlsIdentity(routerFiles);
    const nobody = () => Promise.reject(new RejectionError("UNKNOWN_ELECTION"));
    const service = bind(VoteService, {
      castVote: nobody,
      castVoteBatch: nobody,
      getReceipt: nobody,
      // biome-ignore lint/correctness/useYield: it is never called.
      castVotes: async function* () {
        throw new RejectionError("UNKNOWN_ELECTION");
      },
    });
    const server = new GrpcServer([service], { identity });
    try {
      const router = formatHostPort(await server.listen("127.0.0.1:0"));
      const { caFile, certFile, keyFile } = callerFiles;
      const tls = { ca_file: caFile, cert_file: certFile, key_file: keyFile };
      const load = { kind: "closed", concurrency: 2 } as const;
      const plan = { name: "tls", call: "CastVote", votesPerCall: 1, load, seconds: 1, connections: 1 } as const;
      const target = { dir: rig.folder, router, routerMetrics: [], adminToken: "", pids: new Map() };
      const { report } = await runGhz({
        ghz: await findGhz(() => {}),
        plan,
        target: { ...target, tls, identity: undefined },
        data: voteData("CastVote", 1, { electionId: "none", voterPrefix: "x", keyPrefix: "0123456789abcdef" }),
        folder: join(rig.folder, "ghz"),
        log: () => {},
        signal: never,
      });
      return [...report.statuses.keys()];
    } finally {
      await server.close(1_000);
      identity.close();
    }
  }

  test("reaches a router whose certificate bears its host, and calls as who it is", async () => {
    const router = await rig.files("router", "router-0", { hosts: ["127.0.0.1"] });
    expect(await callsOf(router, await rig.files("client", "ghz"))).toEqual(["NotFound"]);
    expect(await callsOf(router, await rig.files("auditor", "eve"))).toEqual(["PermissionDenied"]);
  });

  test("does not believe a router whose certificate does not", async () => {
    const router = await rig.files("router", "router-1");
    await expect(callsOf(router, await rig.files("client", "ghz"))).rejects.toThrow(
      /ghz ended with exit code 1: .*certificate/s,
    );
  });
});
