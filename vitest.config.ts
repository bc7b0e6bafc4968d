import { defineConfig } from "vitest/config";

export default defineConfig({
  // "mspec/runtime" in generated bindings and examples is the source, as it is for tsc: no test runs a stale dist/.
  resolve: { conditions: ["mspec-source"] },
  ssr: { resolve: { conditions: ["mspec-source"], externalConditions: ["mspec-source"] } },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ["default", "./test/summary.mjs"],
    pool: "forks",
    // A golden is accepted by `npm run golden`, never by a test that finds none.
    update: "none",
    // Hunks with some lines around them, as in a unified diff.
    diff: { expand: false, contextLines: 3 },
  },
});
