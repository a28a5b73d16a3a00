import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { buildWeb } from "./build.ts";

test("the built page is complete and asks no other server for anything", async () => {
  const outDir = await mkdtemp(join(tmpdir(), "urna-web-"));
  onTestFinished(() => rm(outDir, { recursive: true }));
  await buildWeb(outDir);
  expect((await readdir(outDir)).sort()).toEqual(["icon.svg", "index.html", "main.js", "style.css"]);
  const page = await readFile(join(outDir, "index.html"), "utf8");
  const style = await readFile(join(outDir, "style.css"), "utf8");
  expect(page).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
  expect(style).not.toMatch(/@import|url\(/);
  expect(page).toContain("default-src 'none'");
});
