/** What is where in a run's folder. */
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type RunPaths = ReturnType<typeof runPaths>;

export function runPaths(root: string) {
  const secrets = join(root, "secrets");
  return {
    root,
    /** Of the active run; see run-lock.ts. */
    lockFile: join(root, "run.lock"),
    /** What a later start must go on with; see run-state.ts. */
    stateFile: join(root, "state.json"),
    /** The services that run now, for whoever must stop them. */
    processesFile: join(root, "processes.json"),
    directoryFile: join(root, "directory.json"),
    endpointsFile: join(root, "endpoints.json"),
    controlSocket: controlSocket(root),
    logs: join(root, "logs"),
    /** Data directories; a link when the Postgres user cannot reach this folder. */
    postgres: join(root, "postgres"),
    web: join(root, "web"),
    redis: join(root, "redis"),
    consul: join(root, "consul"),
    /** What a service keeps for its next start. */
    stateFolder: (service: string) => join(root, "state", service),
    /** Of the processes of a mesh, one file each, renewed while it runs. */
    certificates: join(root, "certificates"),
    authority: join(secrets, "authority"),
    secrets,
    adminTokenFile: join(secrets, "admin-token"),
    routerKeyFile: join(secrets, "router-key"),
    shardKeyFile: (shardId: number) => join(secrets, `shard-${shardId}-key.pem`),
    ownerPasswordFile: join(secrets, "postgres-owner-password"),
    shardPasswordFile: join(secrets, "postgres-shard-password"),
    redisPasswordFile: join(secrets, "redis-password"),
    replicationPasswordFile: join(secrets, "postgres-replication-password"),
  };
}

/** What the kernel takes as a socket's path, less the byte that ends it. */
const socketPathBytesMax = 107;

/** Of the launcher; see control-protocol.ts. In a folder with a long path it lies among the temporary files. */
function controlSocket(root: string): string {
  const inside = join(root, "control.sock");
  if (Buffer.byteLength(inside) <= socketPathBytesMax) return inside;
  return join(tmpdir(), `urna-${createHash("sha256").update(root).digest("hex").slice(0, 16)}.sock`);
}
