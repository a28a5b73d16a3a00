import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { metricGroups } from "#mesh/metric-names.ts";
import { metricsPage } from "#mesh/metrics-page.ts";

test("docs/metrics.md is what the list says; make it anew with: node mesh/metrics-page.ts > docs/metrics.md", async () => {
  const committed = await readFile(join(import.meta.dirname, "../docs/metrics.md"), "utf8");
  expect(committed).toBe(metricsPage());
});

test("no name is listed twice, and each says its unit as Prometheus has it", () => {
  const all = metricGroups.flatMap(({ metrics }) => metrics);
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  for (const { name, type, unit } of all) {
    expect(name).toMatch(/^urna_[a-z_]+$/);
    expect(name.endsWith("_total")).toBe(type === "counter");
    if (unit === "seconds" || unit === "bytes") expect(name).toContain(unit);
  }
});
