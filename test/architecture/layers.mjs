// The layer rules of .dependency-cruiser.cjs, checked; `npm run check` runs this, and so does a test. Because it would
// pass on nothing, it counts the modules that it looked at against the source files that there are.

import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { cruise } from "dependency-cruiser";
import extractTSConfig from "dependency-cruiser/config-utl/extract-ts-config";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folders = ["bin", "compiler", "runtime", "generated", "examples"].filter((name) => existsSync(join(root, name)));

/** Source files of the folders that the rules are about. */
export function sourceFiles() {
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.m?[jt]s$/.test(entry.name) && !entry.name.endsWith(".d.ts"))
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length)),
  );
  return files.filter((file) => !/^generated\/.*\.js$/.test(file));
}

const { options, forbidden: layerRules } = createRequire(import.meta.url)(join(root, ".dependency-cruiser.cjs"));

/**
 * What breaks a rule, as `rule: from -> to`, and which of our modules were looked at.
 *
 * @param {readonly import("dependency-cruiser").IForbiddenRuleType[]} forbidden
 */
export async function checkLayers(forbidden = layerRules) {
  const cruiseOptions = { ...options, baseDir: root, ruleSet: { forbidden, options }, validate: true };
  const tsConfig = extractTSConfig(join(root, "tsconfig.json"));
  const { output } = await cruise(folders, cruiseOptions, options.enhancedResolveOptions, { tsConfig });
  if (typeof output === "string") throw new Error("dependency-cruiser gave a report instead of a result");
  const modules = output.modules.filter(({ source }) => folders.some((folder) => source.startsWith(`${folder}/`)));
  const violations = output.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);
  return { violations, modules: modules.map(({ source }) => source) };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { violations, modules } = await checkLayers();
  const missing = sourceFiles().filter((file) => !modules.includes(file));
  for (const violation of violations) process.stderr.write(`${violation}\n`);
  for (const file of missing) process.stderr.write(`not looked at: ${file}\n`);
  process.stdout.write(`layers: ${modules.length} modules, ${violations.length} violations\n`);
  process.exitCode = violations.length + missing.length === 0 ? 0 : 1;
}
