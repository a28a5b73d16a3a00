/** Many random interleavings, with every fault. */
import fc from "fast-check";
import { test } from "vitest";
import { type Fault, Interleaving, interleavings } from "./interleavings.ts";
import { sharedRig } from "./shared-rig.ts";

const rigOf = sharedRig({ nodes: 2 });
const faults: readonly Fault[] = [
  "COMMIT cut",
  "answer cut",
  "connections cut",
  "backend ended",
  "standby restarted",
  "standby killed",
  "writer killed",
  "writer frozen",
  "primary killed",
];

test("under any interleaving with kills and freezes of every part the first recorded vote stands (I2, I3, I4, I5, I6)", async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(interleavings(faults, 20), async (steps) => {
      await Interleaving.run(rigOf(), `interleaving-${++run}`, steps);
    }),
    { numRuns: 12, endOnFailure: true },
  );
});
