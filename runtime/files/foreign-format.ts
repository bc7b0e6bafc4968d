// What a file that is called .safetensors is instead, by how it begins: checkpoints of other kinds, pointers, error pages.

import type { FileReader } from "./disk.ts";

export interface ForeignFormat {
  /** `a GGUF file`. */
  readonly what: string;
  readonly help: string | undefined;
}

const fetchAgain = "fetch the file itself: open its address in a browser to see what the server says";

/** A pointer has some 130 bytes; a page's beginning is told from fewer. */
const mostBytes = 512;

/** Undefined for what may be safetensors, whose header begins at byte 8 with `{`. */
export async function foreignFormat(reader: FileReader): Promise<ForeignFormat | undefined> {
  const bytes = await reader.read(0, Math.min(mostBytes, reader.bytes));
  if (bytes[8] === 0x7b) return undefined;
  const text = String.fromCharCode(...bytes);
  if (text.startsWith("version https://git-lfs.github.com/spec/")) return lfsPointer(text);
  if (text.startsWith("GGUF")) return { what: "a GGUF file", help: undefined };
  if (text.startsWith("PK\x03\x04"))
    return { what: "a zip archive, such as PyTorch writes (.bin, .pt)", help: undefined };
  if (bytes[0] === 0x80 && bytes[1] <= 5)
    return { what: "a Python pickle, which is a program and is not run", help: undefined };
  if (text.startsWith("\x89HDF")) return { what: "an HDF5 file", help: undefined };
  if (/^\s*<(!doctype|html|\?xml)/i.test(text))
    return { what: "a web page, perhaps one about an error", help: fetchAgain };
  if (/^\s*[{[]/.test(text)) return { what: "JSON text, perhaps one about an error", help: fetchAgain };
  return undefined;
}

function lfsPointer(text: string): ForeignFormat {
  const size = /^size (\d+)$/m.exec(text)?.[1];
  const of = size === undefined ? "a file" : `a file of ${size} bytes`;
  return { what: `a Git LFS pointer to ${of}`, help: "fetch it with `git lfs pull`" };
}
