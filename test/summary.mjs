// The last lines of a test run: why tests were skipped, and how many passed, failed and were skipped.

export default class Summary {
  /**
   * @param {readonly import("vitest/node").TestModule[]} modules
   * @param {readonly unknown[]} unhandled
   */
  onTestRunEnd(modules, unhandled) {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    /** @type {Map<string, number>} */
    const reasons = new Map();
    for (const module of modules) {
      // A file that cannot be loaded has no tests that could fail.
      counts.failed += module.errors().length;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === "pending") counts.failed++;
        else counts[result.state]++;
        if (result.state !== "skipped") continue;
        const reason = result.note ?? /\(skipped: (.*?)\)/.exec(test.fullName)?.[1] ?? "no reason given";
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      }
    }
    counts.failed += unhandled.length;
    for (const [reason, count] of reasons) process.stdout.write(`skipped ${count}: ${reason}\n`);
    process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
  }
}
