// A server of files, as pages are served from.

import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".txt": "text/plain; charset=utf-8",
};

export interface Site {
  readonly address: string;
  /** Paths that were asked for, in order. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

/** Serves a folder. Below `/start-page/` it sends its start page for what is not there, as many servers do. */
export async function serveFiles(folder: string): Promise<Site> {
  const asked: string[] = [];
  const server = createServer(async ({ url = "/" }, response) => {
    const path = normalize(new URL(url, "http://localhost").pathname);
    asked.push(path);
    const file = path.endsWith("/") ? `${path}index.html` : path.replace(/^\/start-page/, "");
    try {
      const content = await readFile(join(folder, file));
      response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" }).end(content);
    } catch {
      const isStartPage = path.startsWith("/start-page/");
      response
        .writeHead(isStartPage ? 200 : 404, { "content-type": "text/html" })
        .end("<!doctype html><title>start</title>");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { address: `http://localhost:${port}`, asked, close: () => closed(server) };
}

const closed = (server: Server): Promise<void> => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
};
