/** A few random interleavings at every `npm test`; interleavings.faults.test.ts runs many, with slower faults. */
import fc from "fast-check";
import { test } from "vitest";
import { Interleaving, interleavings } from "./interleavings.ts";
import { sharedRig } from "./shared-rig.ts";

const rigOf = sharedRig({ nodes: 2 });
const quick = ["COMMIT cut", "answer cut", "connections cut", "backend ended"] as const;
const faults = [...quick, ...quick, ...quick, "standby restarted", "writer killed"] as const;

test("under any interleaving of votes, repeats, conflicts and faults the first recorded vote stands (I2, I3, I4, I5)", async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(interleavings(faults, 12), async (steps) => {
      await Interleaving.run(rigOf(), `interleaving-${++run}`, steps);
    }),
    { numRuns: 8, endOnFailure: true, interruptAfterTimeLimit: 25_000 },
  );
}, 120_000);
