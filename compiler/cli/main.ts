// The command line: loads the file of the verb that is asked for and turns what goes wrong into a message and an exit code.

import { Command } from "commander";
import { Fault } from "../../runtime/fault.ts";
import { diskRefused } from "../../runtime/messages/disk.ts";
import { packageVersion } from "../source/package-root.ts";
import { exitCodes, reportFailure } from "./report-failure.ts";

type AddVerb = (program: Command) => void;

/** In the order of `--help`. A verb's file is light to load; what it needs to do its work it imports when it runs. */
const verbs: ReadonlyMap<string, () => Promise<AddVerb>> = new Map([
  ["init", async () => (await import("./init.ts")).addInitVerb],
  ["check", async () => (await import("./check.ts")).addCheckVerb],
  ["compile", async () => (await import("./compile.ts")).addCompileVerb],
  ["plan", async () => (await import("./plan.ts")).addPlanVerb],
  ["explain", async () => (await import("./explain.ts")).addExplainVerb],
  ["dump", async () => (await import("./dump.ts")).addDumpVerb],
  ["normalize", async () => (await import("./normalize.ts")).addNormalizeVerb],
  ["schema", async () => (await import("./schema.ts")).addSchemaVerb],
  ["tokenizer", async () => (await import("./tokenizer.ts")).addTokenizerVerb],
  ["import", async () => (await import("./import.ts")).addImportVerb],
  ["export", async () => (await import("./export.ts")).addExportVerb],
  ["verify", async () => (await import("./verify.ts")).addVerifyVerb],
  ["train", async () => (await import("./train.ts")).addTrainVerb],
  ["generate", async () => (await import("./generate.ts")).addGenerateVerb],
  ["doctor", async () => (await import("./doctor.ts")).addDoctorVerb],
]);

/** Runs one command; the process is left to end by itself, unless a GPU would keep it that does not end its work. */
export async function run(argv: readonly string[]): Promise<number> {
  for (const [stream, onError] of outputs) {
    if (!stream.listeners("error").includes(onError)) stream.on("error", onError);
  }
  try {
    const program = await programFor(argv);
    if (argv.length === 0) program.help({ error: true });
    await program.parseAsync([...argv], { from: "user" });
    // A text that was printed last may be refused only now.
    await new Promise((resolve) => setImmediate(resolve));
    return Number(process.exitCode ?? exitCodes.done);
  } catch (error) {
    const code = reportFailure(error, argv);
    if (error instanceof Fault && error.code === "device/hung") await exitAtOnce(code);
    return code;
  }
}

/** Ends the process as soon as its last words are written. */
async function exitAtOnce(code: number): Promise<never> {
  for (const [stream] of outputs) await new Promise((resolve) => stream.write("", resolve));
  process.exit(code);
}

/**
 * Whoever reads the output may stop early (`mspec dump … | head`): that is no fault. A full disk behind it is one, told once;
 * it does not end the work, since a training is worth more than its log.
 */
function onOutputError(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE" || process.exitCode === exitCodes.environment) return;
  process.exitCode = reportFailure(diskRefused(error.code ?? String(error), "write", "the standard output"), []);
}

/** Nobody can be told. */
function onMessageError(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") process.exitCode = exitCodes.environment;
}

const outputs = [
  [process.stdout, onOutputError],
  [process.stderr, onMessageError],
] as const;

/** Commander with the verb that is asked for, or with all of them where help or a suggestion needs every name. */
async function programFor(argv: readonly string[]): Promise<Command> {
  const program = new Command("mspec")
    .description("Compiles a model spec into kernels, a manifest and TypeScript bindings, and trains and serves it.")
    .version(packageVersion(), "-V, --version", "print the version")
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  const asked = verbs.get(argv[0] ?? "");
  const loaders = asked === undefined ? [...verbs.values()] : [asked];
  for (const load of loaders) (await load())(program);
  return program;
}
