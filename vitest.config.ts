/**
 * Three kinds of tests: pure ones beside the code, `*.cluster.test.ts` against running clusters, and
 * `*.faults.test.ts`, the long ones, which only `npm run test:faults` runs.
 */
import { defineConfig } from "vitest/config";

const clusterTests = "**/*.cluster.test.ts";
const faultTests = "**/*.faults.test.ts";
const everywhere = { exclude: ["**/node_modules/**", "**/.urna/**", "**/dist/**"] };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["**/*.test.ts"],
          exclude: [...everywhere.exclude, clusterTests, faultTests],
          maxWorkers: 2,
          testTimeout: 20_000,
        },
      },
      {
        test: {
          ...everywhere,
          name: "cluster",
          include: [clusterTests],
          // A cluster is a dozen processes that wait most of the time: three at a time are what two cores bear.
          maxWorkers: 3,
          testTimeout: 90_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          ...everywhere,
          name: "faults",
          include: [faultTests],
          maxWorkers: 1,
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
