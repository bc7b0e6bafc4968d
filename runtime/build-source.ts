// Where the files of a compiled model come from: a folder in Node, memory right after compiling, a server in a page.

/** Paths are relative to the manifest, with `/` between names. */
export interface BuildSource {
  /** The folder that the files come from, for messages; absent for a model that was never on a disk. */
  readonly place?: string;
  text(path: string): Promise<string>;
  /** Undefined when there is no such file. */
  findText(path: string): Promise<string | undefined>;
  bytes(path: string): Promise<Uint8Array>;
}

/** The files of a compiled model that are in memory. */
export function memorySource(files: ReadonlyMap<string, string | Uint8Array>): BuildSource {
  const file = (path: string): string | Uint8Array => {
    const content = files.get(path);
    if (content === undefined) throw new RangeError(`the compiled model has no file ${path}`);
    return content;
  };
  const textOf = (path: string): string => {
    const content = file(path);
    return typeof content === "string" ? content : new TextDecoder().decode(content);
  };
  return {
    text: async (path) => textOf(path),
    findText: async (path) => (files.has(path) ? textOf(path) : undefined),
    bytes: async (path) => {
      const content = file(path);
      return typeof content === "string" ? new TextEncoder().encode(content) : content;
    },
  };
}
