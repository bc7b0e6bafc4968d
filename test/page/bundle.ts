// What a bundler makes of a module for a page: its chunks, as they are sent.

import { fileURLToPath } from "node:url";
import { build } from "vite";

export interface Chunk {
  readonly file: string;
  readonly code: string;
  /** Chunks that the browser fetches with it. */
  readonly imports: readonly string[];
  readonly isEntry: boolean;
  /** The modules in it, relative to the repository. */
  readonly modules: readonly string[];
}

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Bundles a module of the repository with all that it exports. */
export async function bundleForPage(entry: string): Promise<Chunk[]> {
  const built = await build({
    root,
    configFile: false,
    logLevel: "error",
    resolve: { conditions: ["mspec-source", "browser", "module"] },
    build: {
      write: false,
      target: "es2023",
      rolldownOptions: { input: `${root}${entry}`, preserveEntrySignatures: "strict" },
    },
  });
  if (!("output" in built)) throw new Error("one build was asked for");
  return built.output.flatMap((part) =>
    part.type === "chunk"
      ? [
          {
            file: part.fileName,
            code: part.code,
            imports: part.imports,
            isEntry: part.isEntry,
            modules: Object.keys(part.modules).map((path) => path.replace(root, "")),
          },
        ]
      : [],
  );
}
