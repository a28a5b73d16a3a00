/** The commit path on Postgres 18; what each test does is in commit-path-stories.ts. */
import { commitPathStories, sharedRig } from "./commit-path-stories.ts";

commitPathStories(sharedRig({ nodes: 2 }));
