/** The queries of docs/reports.md, by name, as an auditor would copy them out. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const page = fileURLToPath(new URL("../docs/reports.md", import.meta.url));
const report = /<!-- report: ([\w-]+) -->\n```sql\n([^`]+)```/g;

export type ReportParameters = Readonly<Record<"election" | "region" | "from" | "to", string>>;

/** With psql's variables (`:'election'`) filled in. */
export function sqlReports(parameters: ReportParameters): ReadonlyMap<string, string> {
  const found = [...readFileSync(page, "utf8").matchAll(report)];
  return new Map(found.map(([, name = "", sql = ""]) => [name, filled(sql, parameters)]));
}

function filled(sql: string, parameters: ReportParameters): string {
  return sql.replace(/:'(\w+)'/g, (_, name: string) => {
    const value = parameters[name as keyof ReportParameters];
    if (value === undefined) throw new Error(`docs/reports.md asks for :'${name}', which nobody has`);
    return `'${value.replaceAll("'", "''")}'`;
  });
}
