/** The commit path on Postgres 15, where it is installed; what each test does is in commit-path-stories.ts. */
import { test } from "vitest";
import { isInstalled } from "#deploy/postgres-binaries.ts";
import { commitPathStories } from "./commit-path-stories.ts";
import { sharedRig } from "./shared-rig.ts";

if (await isInstalled(15)) {
  commitPathStories(sharedRig({ postgres: 15, nodes: 2 }));
} else {
  console.log("Postgres 15 is not installed (apt install postgresql-15): the commit path was tested on 18 only");
  test.skip("the commit path on Postgres 15, which is not installed");
}
