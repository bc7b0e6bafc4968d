// Files of a page: what lies at addresses, fetched when it is asked for. A page writes nothing.

import type { BuildSource } from "./build-source.ts";
import { blobReader } from "./files/blob-reader.ts";
import type { Disk } from "./files/disk.ts";
import * as messages from "./messages/page.ts";
import { wholeAddress } from "./page-globals.ts";

/** The compiled model in a folder at an address, relative to the page unless it is a whole one. */
export function addressSource(folder: string | URL): BuildSource {
  const place = wholeAddress(String(folder)).replace(/\/+$/, "");
  const addressOf = (path: string): string => `${place}/${path}`;
  return {
    place,
    text: async (path) => (await fetched(addressOf(path))).text(),
    findText: async (path) => (await find(addressOf(path)))?.text(),
    bytes: async (path) => new Uint8Array(await (await fetched(addressOf(path))).arrayBuffer()),
  };
}

/** Paths are addresses. Errors: `page/…`; whatever would look into folders or write is refused. */
export const addressDisk: Disk = {
  stat: async (address) => {
    const answer = await find(wholeAddress(address), { method: "HEAD" });
    return answer && { kind: "file", bytes: Number(answer.headers.get("content-length") ?? 0) };
  },
  openRead: async (address) => blobReader(await (await fetched(wholeAddress(address))).blob(), address),
  list: async () => refuse("look into"),
  create: async () => refuse("write to"),
  openAppend: async () => refuse("write to"),
  truncate: async () => refuse("write to"),
  createFolder: async () => refuse("write to"),
  syncFolder: async () => refuse("write to"),
  rename: async () => refuse("write to"),
  link: async () => refuse("write to"),
  unlink: async () => refuse("write to"),
  removeFolder: async () => refuse("write to"),
  startChecksum: () => refuse("compare files of"),
};

function refuse(what: string): never {
  throw messages.noFolders(what);
}

/** The server's answer; undefined when it has no such file, or a page in its place. */
async function find(address: string, request: RequestInit = {}): Promise<Response | undefined> {
  const answer = await ask(address, request);
  if (answer.status === 404 || isHtml(answer)) return undefined;
  if (!answer.ok) throw messages.wrongStatus(address, answer.status, answer.statusText);
  return answer;
}

async function fetched(address: string): Promise<Response> {
  const answer = await ask(address, {});
  if (answer.status === 404) throw messages.notFound(address);
  if (!answer.ok) throw messages.wrongStatus(address, answer.status, answer.statusText);
  if (isHtml(answer)) throw messages.htmlInstead(address);
  return answer;
}

async function ask(address: string, request: RequestInit): Promise<Response> {
  try {
    return await fetch(address, request);
  } catch (error) {
    throw messages.unreachable(address, error);
  }
}

const isHtml = ({ headers }: Response): boolean => headers.get("content-type")?.startsWith("text/html") === true;
