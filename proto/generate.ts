/**
 * Generates protobuf-es code from the .proto files.
 *
 *   node proto/generate.ts            writes proto/generated
 *   node proto/generate.ts --check    fails when proto/generated is not what would be written
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const generated = join(root, "proto/generated");

/** buf looks for its local plugin on the PATH, and the plugin for its Node. */
function generateInto(folder: string): void {
  const path = [join(root, "node_modules/.bin"), dirname(process.execPath), "/usr/bin", "/bin"].join(":");
  const environment = { PATH: path, HOME: tmpdir() };
  execFileSync(join(root, "node_modules/.bin/buf"), ["generate", "--output", folder], {
    cwd: root,
    env: environment,
    stdio: "inherit",
  });
}

function filesIn(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name));
  return new Map(paths.sort().map((path) => [path.slice(folder.length + 1), readFileSync(path, "utf8")]));
}

function differences(wanted: Map<string, string>, found: Map<string, string>): string[] {
  const names = new Set([...wanted.keys(), ...found.keys()]);
  return [...names].filter((name) => wanted.get(name) !== found.get(name));
}

const scratch = mkdtempSync(join(tmpdir(), "urna-generate-"));
try {
  generateInto(scratch);
  const fresh = join(scratch, "proto/generated");
  const stale = differences(filesIn(fresh), filesIn(generated));
  if (!process.argv.includes("--check")) {
    rmSync(generated, { recursive: true, force: true });
    cpSync(fresh, generated, { recursive: true });
    console.log(stale.length === 0 ? "proto/generated was current" : `wrote ${stale.join(", ")}`);
  } else if (stale.length > 0) {
    console.error(`proto/generated is not current: ${stale.join(", ")}; run npm run generate`);
    process.exitCode = 1;
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
