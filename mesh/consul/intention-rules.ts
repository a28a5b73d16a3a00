/**
 * What service-intentions entries say about a pair of services. Consul's order: an exact destination before "*", then an
 * exact source before "*"; the first that fits decides. They only take away, so what no entry names is allowed.
 */
import { JsonReader } from "#mesh/json-reader.ts";

export type IntentionRule = { readonly source: string; readonly destination: string; readonly allows: boolean };

const anyService = "*";
const reader: JsonReader = new JsonReader("intentions");

/** Of an answer of /v1/config/service-intentions. Throws an Error that names the field. */
export function parseIntentions(body: unknown): IntentionRule[] {
  return reader.list(body, "the answer").flatMap((value, i) => {
    const entry = reader.record(value, `[${i}]`);
    const destination = reader.text(entry["Name"], `[${i}].Name`);
    return reader.list(entry["Sources"] ?? [], `[${i}].Sources`).flatMap((each) => {
      const source = reader.record(each, `[${i}].Sources`);
      // Services of another cluster are none of ours.
      if (typeof source["Peer"] === "string" && source["Peer"] !== "") return [];
      // Rules about HTTP paths instead of an action are a denial to whoever does not speak HTTP, as Consul has it.
      const allows = source["Action"] === "allow";
      return [{ source: reader.text(source["Name"], `[${i}].Sources.Name`), destination, allows }];
    });
  });
}

export function isAllowed(rules: readonly IntentionRule[], source: string, destination: string): boolean {
  for (const [from, to] of [
    [source, destination],
    [anyService, destination],
    [source, anyService],
    [anyService, anyService],
  ]) {
    const rule = rules.find((each) => each.source === from && each.destination === to);
    if (rule !== undefined) return rule.allows;
  }
  return true;
}
