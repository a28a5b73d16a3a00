/** Which release of Urna this process runs. */
import manifest from "../package.json" with { type: "json" };

export const releaseVersion: string = manifest.version;
