// @ts-check
// Makes the page's folder: the model compiled, the script bundled, the text beside them. Any server of files can serve it.

import { execFileSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const here = fileURLToPath(new URL(".", import.meta.url));
const repository = join(here, "../..");

const out = resolve(process.argv[2] ?? join(repository, "runs/page"));
await build({
  root: here,
  configFile: false,
  logLevel: "warn",
  base: "./",
  resolve: { conditions: ["mspec-source", "browser", "module"] },
  build: { outDir: out, emptyOutDir: true, target: "es2023" },
});
const mspec = join(repository, "bin/mspec.mjs");
execFileSync(
  process.execPath,
  [mspec, "compile", join(here, "model.yaml"), "-o", join(out, "model"), "--target", "wgsl", "wgsl-soft"],
  {
    stdio: "inherit",
  },
);
copyFileSync(join(repository, "templates/init/corpus/lincoln-1862.txt"), join(out, "text.txt"));
