/** `npm run check`: everything that can be said about the source without running it, the rules of the rooms included. */
import { checks, runCheck } from "./check-list.ts";
import * as rules from "./room-rules.ts";

let failed = 0;
for (const check of checks) if (!(await runCheck(check))) failed++;

const files = rules.sourceFiles();
const faults = [
  ...rules.importFaults(files),
  ...rules.nameFaults(files),
  ...rules.lengthFaults(files),
  ...rules.defaultExportFaults(files),
  ...rules.environmentFaults(files),
  ...rules.documentFaults(),
];
console.log(`${faults.length === 0 ? "✓" : "✗"} the rules of the rooms`);
for (const fault of faults) console.log(`  ${fault}`);
if (faults.length > 0) failed++;

process.exitCode = failed === 0 ? 0 : 1;
