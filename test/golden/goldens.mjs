// Which specs have goldens and what these hold: the whole output of tiny ones, the kernels of larger ones by hash.
// Plain JavaScript, because the test runs it on the sources and `npm run golden` on dist/.

/**
 * @typedef {object} Golden
 * @property {string} spec
 * @property {"whole" | "kernels"} holds
 */

/** @type {Readonly<Record<string, Golden>>} */
export const goldens = {
  tiny: { spec: "specs/tiny.mspec.yaml", holds: "whole" },
  "tiny-formulas": { spec: "specs/tiny-formulas.mspec.yaml", holds: "whole" },
  "tiny-experts": { spec: "specs/tiny-experts.mspec.yaml", holds: "whole" },
  sotu: { spec: "examples/sotu/model.yaml", holds: "kernels" },
  "llama-3.1-8b": { spec: "specs/llama-3.1-8b.mspec.yaml", holds: "kernels" },
  "dense-61": { spec: "test/language/fixtures/dense-61.mspec.yaml", holds: "kernels" },
};

/** Made again by every compile and left out of the repository. */
export const notCommitted = new Set(["model.js", "model.d.ts", "wasm/kernels.wasm"]);

/**
 * The committed files of a golden: paths in generated/, and texts.
 *
 * @param {string} name
 * @param {import("../../compiler/spec/spec.ts").Spec} spec
 * @param {typeof import("../../compiler/compile.ts")} compiler
 * @param {typeof import("../../compiler/emit/output-files.ts")} emit
 * @returns {Promise<Map<string, string>>}
 */
export async function goldenFiles(name, spec, { compile, compileFor, targets }, emit) {
  const build = compile(spec);
  const gpu = compileFor(targets.wgsl, spec, build.programs);
  if (goldens[name].holds === "kernels") return new Map([[`${name}.kernels.txt`, kernelList([build, gpu])]]);
  const files = [...emit.textFiles(build, [gpu]), ...(await emit.bindingFiles(build))];
  const committed = files.filter(({ path }) => !notCommitted.has(path));
  return new Map(committed.map(({ path, content }) => [`${name}/${path}`, String(content)]));
}

/** @param {readonly import("../../compiler/compile.ts").Build[]} builds */
function kernelList(builds) {
  const kernels = builds.flatMap((build) => build.kernels).flatMap((kernel) => [kernel, ...kernel.variants]);
  const lines = kernels.map(({ file, sha256 }) => `${sha256.slice(0, 16)}  ${file}`);
  return `${lines.sort((a, b) => (a.slice(18) < b.slice(18) ? -1 : 1)).join("\n")}\n`;
}
