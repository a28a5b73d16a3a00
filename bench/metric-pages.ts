/** The metrics page of a running process, compared with what the list of names promises. */
import type { MeasuredService, MetricEntry, MetricGroup } from "#mesh/metric-names.ts";
import { metricGroups } from "#mesh/metric-names.ts";

type ShownMetric = { readonly type: string; readonly meaning: string; readonly labels: ReadonlySet<string> };

/** `page`: the page's address, with or without its path. */
export async function readMetricsPage(page: string): Promise<string> {
  const response = await fetch(new URL("/metrics", page));
  if (!response.ok) throw new Error(`${page} answers ${response.status}`);
  return await response.text();
}

/** Where page and list differ, in words. `has`: what this process has of what some metrics need. */
export function metricFaults(
  text: string,
  service: MeasuredService,
  has: readonly MetricGroup["needs"][] = [],
): string[] {
  const shown = shownMetrics(text);
  const own = metricGroups.filter(({ services }) => services.includes(service));
  const expected = own.filter(({ needs }) => needs === "nothing" || has.includes(needs));
  const listed = new Map(expected.flatMap(({ metrics }) => metrics.map((entry) => [entry.name, entry])));
  const unlisted = [...shown.keys()].filter((name) => !listed.has(name));
  return [
    ...unlisted.map((name) => `${service} shows ${name}, which is not listed for it`),
    ...[...listed.values()].flatMap((entry) => entryFaults(service, entry, shown.get(entry.name))),
  ];
}

function entryFaults(service: string, entry: MetricEntry, shown: ShownMetric | undefined): string[] {
  const { name, type, meaning, labels } = entry;
  if (shown === undefined) return [`${service} does not show ${name}`];
  const foreign = [...shown.labels].filter((label) => !labels.includes(label));
  return [
    ...(shown.type === type ? [] : [`${name} is a ${shown.type}, not a ${type}`]),
    ...(shown.meaning === meaning ? [] : [`${name} says "${shown.meaning}", and the list "${meaning}"`]),
    ...foreign.map((label) => `${name} has a label ${label}, which is not listed`),
  ];
}

/** Urna's own, by name. */
function shownMetrics(text: string): Map<string, ShownMetric> {
  const metrics = new Map<string, { type: string; meaning: string; labels: Set<string> }>();
  for (const line of text.split("\n")) {
    const [, kind, about = "", words = ""] = /^# (HELP|TYPE) (urna_\w+) (.*)$/.exec(line) ?? [];
    if (kind === "HELP") metrics.set(about, { type: "", meaning: words, labels: new Set() });
    const metric = metrics.get(about);
    if (kind === "TYPE" && metric !== undefined) metric.type = words;
    const [, sample = "", labels = ""] = /^(urna_\w+)\{(.*)\}/.exec(line) ?? [];
    const sampled = metrics.get(sample) ?? metrics.get(sample.replace(/_(bucket|sum|count)$/, ""));
    for (const [, label = ""] of labels.matchAll(/(\w+)="/g)) if (label !== "le") sampled?.labels.add(label);
  }
  return metrics;
}
