// @ts-check
// A server of files, as pages are served from.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

/** @type {Readonly<Record<string, string>>} */
const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".json": "application/json",
  ".txt": "text/plain; charset=utf-8",
};

/**
 * `asked`: paths that were asked for, in order.
 * @typedef {{ readonly address: string, readonly asked: readonly string[], close(): Promise<void> }} Site
 */

/**
 * Serves a folder. Below `/start-page/` it sends its start page for what is not there, as many servers do.
 * @param {string} folder @returns {Promise<Site>}
 */
export async function serveFiles(folder) {
  /** @type {string[]} */
  const asked = [];
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
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { address: `http://localhost:${port}`, asked, close: () => closed(server) };
}

/** @param {import("node:http").Server} server @returns {Promise<void>} */
const closed = (server) => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
};
