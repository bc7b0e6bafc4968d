// Where this package lies and which version it is: the same from sources and from dist/.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { invariant } from "./diagnostic.ts";

let root: string | undefined;

/** The folder that holds `templates/`, `specs/` and package.json. */
export function packageRoot(): string {
  if (root !== undefined) return root;
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    if (!existsSync(join(folder, "package.json")) || !existsSync(join(folder, "templates"))) continue;
    root = folder;
    return folder;
  }
  invariant(false, "mspec lies in no package with a folder templates");
}

export function packageVersion(): string {
  const description: { version: string } = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8"));
  return description.version;
}
