// The runtime in a page of a real browser, whose GPU is SwiftShader: what it refuses it explains, and what it computes is
// what Node computes.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kernelTexts, tinyGpuModel } from "../devices/tiny-gpu-model.ts";
import { bundleForPage } from "./bundle.ts";
import { openBrowser } from "./chromium.mjs";
import { type Site, serveFiles } from "./site.mjs";

const folder = mkdtempSync(join(tmpdir(), "mspec-page-"));
let site: Site;
let browser: Browser;
let page: Page;

function write(path: string, content: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
}

beforeAll(async () => {
  const chunks = await bundleForPage("test/page/in-page.mjs");
  for (const { file, code } of chunks) write(file, code);
  const entry = chunks.find(({ isEntry }) => isEntry)?.file;
  write("index.html", `<!doctype html><title>test</title><script type="module" src="/${entry}"></script>`);
  for (const [path, text] of kernelTexts) write(`by-hand/${path}`, text);
  write("by-hand/manifest.wgsl-soft.json", JSON.stringify(tinyGpuModel));
  write("cpu-only/manifest.json", JSON.stringify({ ...tinyGpuModel, target: "wasm", module: "wasm/kernels.wasm" }));
  site = await serveFiles(folder);
  browser = await openBrowser();
  page = await browser.newPage();
  await page.goto(`${site.address}/`);
  await page.waitForFunction("globalThis.mspecTest !== undefined");
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
  rmSync(folder, { recursive: true });
});

/** Calls a function of in-page.mjs. */
function inPage(call: string, ...given: readonly unknown[]): Promise<unknown> {
  return page.evaluate(`mspecTest.${call}(${given.map((value) => JSON.stringify(value)).join(", ")})`);
}

describe("a page", () => {
  it("runs kernels of a folder that it fetches, on the device that was asked for by name", async () => {
    const x = [1, -2, 3.5, 4, 0, -6, 7, 8];
    const read = await inPage("run", "/by-hand", { x, factor: [3] }, "scale", { live: 8 }, "scale.y");
    expect(read).toMatchObject({ values: x.map((value) => 3 * value) });
    expect(read).toMatchObject({ description: expect.stringMatching(/^webgpu:software, .*swiftshader/i) });
    // No more than is needed: the manifest and each kernel once.
    const asked = site.asked.filter((path) => path.startsWith("/by-hand/"));
    const kernels = [...kernelTexts.keys()].map((path) => `/by-hand/${path}`);
    expect(asked.toSorted()).toEqual(["/by-hand/manifest.wgsl-soft.json", ...kernels].toSorted());
  });

  it("says why a model does not open", async () => {
    const refusals: readonly (readonly [string, string, RegExp])[] = [
      ["/by-hand", "webgpu", /^model\/not-compiled-for.*\/by-hand\n.*compiled for wgsl-soft\n.*--target wgsl/s],
      ["/cpu-only", "webgpu:software", /^model\/not-compiled-for.*compiled for wasm\n.*--target wgsl-soft/s],
      ["/cpu-only", "wasm", /^model\/no-wasm-here.*workers of Node\n.*device webgpu$/s],
      ["/nowhere", "webgpu", /^page\/not-found.*\/nowhere\/manifest\.json\n/s],
      ["/start-page/nowhere", "webgpu", /^page\/html-instead.*start-page\/nowhere\/manifest\.json\n/s],
      [
        "http://localhost:1/model",
        "webgpu",
        /^page\/unreachable.*http:\/\/localhost:1\/model\/manifest\.wgsl\.json\n.*CORS/s,
      ],
      ["/by-hand", "cuda", /^model\/unknown-device: there is no device "cuda"/],
    ];
    for (const [address, device, message] of refusals) {
      expect(await inPage("refusal", address, device), `${address} on ${device}`).toMatch(message);
    }
  });

  it("takes no software adapter unless it is asked for by name", async () => {
    write("gpu/manifest.wgsl.json", JSON.stringify(tinyGpuModel));
    expect(await inPage("refusal", "/gpu", "webgpu")).toMatch(/^device\/(software-adapter|no-adapter)/);
  });

  it("says that a browser, or an insecure page, has no WebGPU", async () => {
    await page.evaluate("Object.defineProperty(navigator, 'gpu', { value: undefined, configurable: true })");
    expect(await inPage("refusal", "/gpu", "webgpu")).toMatch(/^page\/no-webgpu.*`navigator\.gpu`\n/s);
    await page.evaluate("Object.defineProperty(globalThis, 'isSecureContext', { value: false, configurable: true })");
    expect(await inPage("refusal", "/gpu", "webgpu")).toMatch(/^page\/no-webgpu.*by https, or from localhost/s);
    await page.reload();
    await page.waitForFunction("globalThis.mspecTest !== undefined");
    expect(await inPage("refusal", "/by-hand", "webgpu:software")).toBe("it opened");
  });
});
