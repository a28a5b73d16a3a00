/** For tests of a killed launcher: starts a small cluster, prints its endpoints as one line of JSON, and waits. */
import { EmbeddedCluster } from "./embedded-cluster.ts";

const [dir] = process.argv.slice(2);
const cluster = await EmbeddedCluster.start({
  dir,
  shards: 1,
  routers: 1,
  spares: 0,
  portBase: 0,
  sharedBuffersMb: 64,
});
console.log(JSON.stringify({ root: cluster.paths.root, endpoints: cluster.endpoints }));
setInterval(() => {}, 60_000);
