// Bytes that a page was given, such as a file that somebody chose, as a file to read.

import { fileChanged } from "../messages/disk.ts";
import type { FileReader } from "./disk.ts";

/** `path` is what messages call it. */
export function blobReader(blob: Blob, path: string): FileReader {
  return {
    path,
    bytes: blob.size,
    read: async (offset, length) => {
      const piece = await blob.slice(offset, offset + length).arrayBuffer();
      if (piece.byteLength !== length) throw fileChanged(path, offset + length, offset + piece.byteLength);
      return new Uint8Array(piece);
    },
    close: async () => {},
  };
}
