/** The commit path on Postgres 18; what each test does is in commit-path-stories.ts. */
import { commitPathStories } from "./commit-path-stories.ts";
import { sharedRig } from "./shared-rig.ts";

commitPathStories(sharedRig({ nodes: 2 }));
