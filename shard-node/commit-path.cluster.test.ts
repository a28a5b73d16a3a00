/** The commit path on Postgres 18; what each test does is in commit-path-stories.ts. */
import { afterAll, afterEach, beforeAll } from "vitest";
import { ShardRig } from "#bench/shard-rig.ts";
import { lostCommitStories } from "./commit-path-stories.ts";

let rig: ShardRig;

beforeAll(async () => {
  rig = await ShardRig.start({ nodes: 2 });
});
afterEach(async () => {
  for (const n of rig.nodes) {
    console.log((await n.log.since()).slice(-6000));
    console.log(await n.status());
  }
  console.log((await rig.primary.log.since()).slice(-3000));
  console.log(await rig.head());
  await rig.check();
});
afterAll(() => rig[Symbol.asyncDispose]());

lostCommitStories(() => rig);
