/** For tests that need tools which not every machine has. */
import { requiredTools } from "./config.ts";
import { ToolMissingError } from "./tool-search.ts";

/** Whether what the mesh needs may be missing where tests run. URNA_REQUIRE=mesh forbids it. */
export const meshIsRequired = requiredTools.includes("mesh");

type Find = (log: (line: string) => void) => Promise<string>;

/**
 * Why the tests of this subject cannot run here, said on the terminal, too; undefined when they can. Builds what must
 * be built. Throws instead of answering where URNA_REQUIRE=mesh: then the test file fails.
 */
export async function toolSkipReason(subject: string, ...finds: readonly Find[]): Promise<string | undefined> {
  try {
    for (const find of finds) await find((line) => console.log(`${subject}: ${line}`));
    return undefined;
  } catch (error) {
    if (!(error instanceof ToolMissingError) || meshIsRequired) throw error;
    console.log(`${subject}: skipped: ${error.message}`);
    return error.message;
  }
}
