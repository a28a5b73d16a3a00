/** The table of docs/identity.md, from the one that is asked: `node mesh/permissions-page.ts` prints it. */
import { mayCall, permittedServices } from "#mesh/call-permissions.ts";

export function permissionsTable(): string {
  const rows = permittedServices.flatMap(({ service, servedBy }) =>
    service.methods.map(({ name }) => {
      const method = `\`${service.name}.${name}\``;
      return `| ${method} | ${servedBy.join(", ")} | ${mayCall(`${service.typeName}/${name}`).join(", ")} |`;
    }),
  );
  return ["| method | served by | may be called by |", "|---|---|---|", ...rows].join("\n");
}

if (import.meta.main) process.stdout.write(`${permissionsTable()}\n`);
