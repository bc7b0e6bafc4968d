// Who may import whom. The order of the compiler's folders is one array; the rules follow from it.

/** Each folder of compiler/ may import itself and anything to its left. */
const order = ["source", "formula", "graph", "targets", "ops", "spec", "model", "passes", "kernels", "emit"];

const folder = (name) => `^compiler/${name}/`;
const top = "^compiler/[^/]+\\.ts$";
const cli = folder("cli");
const contract = "^runtime/contract\\.ts$";

const layers = order.map((name, i) => ({
  name: `${name}-imports-nothing-to-its-right`,
  severity: "error",
  from: { path: folder(name) },
  to: { path: [...order.slice(i + 1).map(folder), top, cli] },
}));

/** Libraries that one place alone knows. */
const soleUsers = {
  handlebars: "^compiler/emit/(render|precompile|template-files)\\.ts$",
  "ts-morph": "^compiler/emit/bindings\\.ts$",
  wabt: "^compiler/emit/assemble\\.ts$",
  zod: "^compiler/spec/json-schema\\.ts$",
  chevrotain: "^compiler/formula/",
  yaml: "^compiler/(source|spec)/",
  commander: "^compiler/cli/",
};

module.exports = {
  forbidden: [
    ...layers,
    {
      name: "what-calls-the-stages-knows-no-command-line",
      severity: "error",
      from: { path: top },
      to: { path: cli },
    },
    {
      name: "the-compiler-knows-of-the-runtime-only-the-contract",
      severity: "error",
      from: { path: "^compiler/", pathNot: [cli, folder("emit"), top] },
      to: { path: "^runtime/" },
    },
    {
      name: "emit-knows-of-the-runtime-only-the-contract",
      severity: "error",
      from: { path: [folder("emit"), top] },
      to: { path: "^runtime/", pathNot: contract },
    },
    {
      name: "the-runtime-ships-without-the-compiler",
      severity: "error",
      from: { path: "^runtime/" },
      to: { path: "^(compiler|generated|examples|bench|test|bin)/" },
    },
    {
      name: "what-users-write-imports-the-runtime-only",
      severity: "error",
      from: { path: "^(generated|examples)/" },
      to: { path: "^(compiler|bench|test|bin)/" },
    },
    {
      name: "nothing-that-ships-imports-tests",
      severity: "error",
      from: { path: "^(bin|compiler|runtime)/" },
      to: { path: "^(test|bench|examples|generated)/" },
    },
    {
      name: "no-circles",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    { name: "everything-is-found", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "what-ships-needs-no-development-package",
      severity: "error",
      from: { path: "^(bin|compiler|runtime)/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg"], pathNot: "node_modules/@types/" },
    },
    ...Object.entries(soleUsers).map(([library, user]) => ({
      name: `${library}-has-one-user`,
      severity: "error",
      from: { path: "^compiler/", pathNot: user },
      to: { path: `node_modules/${library}/` },
    })),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(dist|runs)/|\\.hbs$" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["mspec-source", "import", "node", "default", "types"],
    },
  },
};
