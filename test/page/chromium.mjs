// @ts-check
// The browser of the package @sparticuz/chromium, with the libraries, fonts and software driver that it brings: so that
// nothing has to be installed. Its own unpacking is not safe when two processes begin at once.

import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { chromium } from "playwright-core";

const packed = join(dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium")), "../../bin");
const { version } = JSON.parse(readFileSync(join(packed, "../package.json"), "utf8"));
const unpacked = join(tmpdir(), `mspec-chromium-${version}`);

/** A browser whose only adapter of WebGPU is SwiftShader. @returns {Promise<import("playwright-core").Browser>} */
export function openBrowser() {
  if (!existsSync(unpacked)) unpack();
  return chromium.launch({
    executablePath: join(unpacked, "chromium"),
    args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
    env: { ...process.env, LD_LIBRARY_PATH: join(unpacked, "lib"), FONTCONFIG_PATH: unpacked },
  });
}

/** Appears whole or not at all; who comes second takes what the first one has unpacked. */
function unpack() {
  const aside = mkdtempSync(`${unpacked}-`);
  try {
    writeFileSync(join(aside, "chromium"), brotliDecompressSync(readFileSync(join(packed, "chromium.br"))));
    chmodSync(join(aside, "chromium"), 0o755);
    for (const name of ["al2023", "fonts", "swiftshader"]) {
      const input = brotliDecompressSync(readFileSync(join(packed, `${name}.tar.br`)));
      execFileSync("tar", ["xf", "-", "-C", aside], { input });
    }
    // The package's own names the folders of another place.
    writeFileSync(join(aside, "fonts.conf"), `<fontconfig><dir>${unpacked}/fonts</dir></fontconfig>`);
    renameSync(aside, unpacked);
  } catch (error) {
    rmSync(aside, { recursive: true });
    if (!existsSync(unpacked)) throw error;
  }
}
