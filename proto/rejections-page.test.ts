import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { rejectionsPage } from "#proto/rejections-page.ts";

test("docs/rejections.md is what the catalogue says; make it anew with: node proto/rejections-page.ts > docs/rejections.md", async () => {
  const committed = await readFile(join(import.meta.dirname, "../docs/rejections.md"), "utf8");
  expect(committed).toBe(rejectionsPage());
});
