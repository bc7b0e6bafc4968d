// What a benchmark writes into docs/benchmarks.md leaves what was measured elsewhere.

import { describe, expect, it } from "vitest";
import { mergeSections } from "../../bench/tables.mjs";

const cpu = "# Benchmarks\n\nOn a CPU.\n\n## Matmul\n\n1\n\n## Demo\n\n### Bars\n\n2";
const page = `${cpu}\n\n## WebGPU on a\n\n3\n\n## WebGPU on b\n\n### Operations\n\n4\n`;

describe("mergeSections", () => {
  it("replaces an adapter's section and no other", () => {
    const merged = mergeSections(page, "## WebGPU on b\n\n### Operations\n\n5\n");
    expect(merged).toBe(page.replace("4", "5"));
  });

  it("puts a new adapter behind the others", () => {
    expect(mergeSections(page, "## WebGPU on c\n\n6\n\n")).toBe(`${page}\n## WebGPU on c\n\n6\n`);
  });

  it("replaces all that was measured on the CPU, and keeps adapters", () => {
    const merged = mergeSections(page, "# Benchmarks\n\nOn another CPU.\n\n## Matmul\n\n7\n\n");
    expect(merged).toBe(
      "# Benchmarks\n\nOn another CPU.\n\n## Matmul\n\n7\n\n## WebGPU on a\n\n3\n\n## WebGPU on b\n\n### Operations\n\n4\n",
    );
  });
});
