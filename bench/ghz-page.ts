/**
 * ghz's own HTML page of a run, made from its JSON report by ghz's own printer: ghz writes one format a run, and the page of
 * another run would show other figures. The Go program that calls the printer is beside ghz's pinned module.
 */
import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { buildGoProgram, missingGo } from "#deploy/go-module.ts";
import { ghz } from "#deploy/tool-catalogue.ts";

const pageProgram = { ...ghz.build, title: "the printer of ghz's page", cacheName: "ghz-page", package: "." };

/** Why the page could not be made, as a sentence; undefined when it was. */
export async function writePage(
  report: string,
  pageFile: string,
  log: (line: string) => void,
): Promise<string | undefined> {
  const missing = await missingGo(pageProgram, "to have ghz's page made from report.json");
  if (missing !== undefined) return missing;
  const draft = `${pageFile}.part`;
  try {
    const program = await buildGoProgram(pageProgram, log);
    const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    await Promise.all([
      pipeline(Readable.from([report]), child.stdin),
      pipeline(child.stdout, createWriteStream(draft)),
    ]);
    const code = await ended;
    if (code !== 0) return `the printer ended with exit code ${code}`;
    await rename(draft, pageFile);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await rm(draft, { force: true });
  }
}
