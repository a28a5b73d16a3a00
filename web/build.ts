/** Bundles the results page into a folder that a router serves as it stands. The page asks nobody else for anything. */
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

const room = import.meta.dirname;

/** What a browser loads: index.html, main.js, style.css, icon.svg. */
export async function buildWeb(outDir: string): Promise<void> {
  await mkdir(outDir, { recursive: true });
  await build({
    absWorkingDir: room,
    entryPoints: ["main.ts"],
    outfile: join(outDir, "main.js"),
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    logLevel: "silent",
  });
  for (const file of ["index.html", "style.css", "icon.svg"]) await copyFile(join(room, file), join(outDir, file));
}
