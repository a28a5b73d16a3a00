/** Prints docs/metrics.md: node mesh/metrics-page.ts > docs/metrics.md */
import type { MetricGroup } from "#mesh/metric-names.ts";
import { measuredServices, metricGroups } from "#mesh/metric-names.ts";

const introduction = `# Metrics

Every process serves one page, \`http://<its metrics address>/metrics\`, in Prometheus' text format; \`endpoints.json\` of a run
says where. This page is made from \`mesh/metric-names.ts\` by \`node mesh/metrics-page.ts\`; a test compares that list with the
pages of a running cluster, both ways. Metrics of Node itself (\`process_…\`, \`nodejs_…\`, as prom-client names them) are on
each page too. How to switch on traces: [telemetry.md](telemetry.md).

No metric has a label whose values callers choose: how many series there are is known beforehand.
`;

/** The whole page. */
export function metricsPage(): string {
  return `${introduction}\n${metricGroups.map(section).join("\n")}`;
}

function section({ services, needs, metrics }: MetricGroup): string {
  const whose =
    services.length === measuredServices.length ? "Every process" : services.map((s) => `\`${s}\``).join(", ");
  const rows = metrics.map(({ name, type, labels, unit, meaning }) => {
    return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${unit} | ${meaning} |`;
  });
  const head = "| name | type | labels | unit | meaning |\n|---|---|---|---|---|";
  return `## ${whose}${conditions[needs]}\n\n${head}\n${rows.join("\n")}\n`;
}

const conditions = {
  nothing: "",
  redis: ", where Redis is configured",
  identity: ", with an identity (mutual TLS)",
} as const;

if (import.meta.main) process.stdout.write(metricsPage());
