// Sentences about the command line and about mspec's own faults.

/** Commander's words, in the form of all other messages. */
export function usage(code: string, message: string, verb: string | undefined): string {
  const kind = code.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const [claim, ...rest] = message.replace(/^error: /, "").split("\n");
  const help = verb === undefined || verb.startsWith("-") || kind === "unknown-command" ? "" : ` ${verb}`;
  const suggestions = rest.filter((line) => line !== "").map((line) => `  ${line.replace(/^\((.*)\)$/, "$1")}`);
  return [`cli/${kind}: ${claim}`, ...suggestions, `  \`mspec${help} --help\` says what there is`].join("\n");
}

export function internalFault(message: string, version: string, repro: string | undefined): string {
  const where = repro === undefined ? "no repro file could be written" : `repro: ${repro}`;
  return [
    `mspec/internal-fault: this is mspec's fault, not yours: ${message}`,
    `  version ${version}, ${where}`,
    "  report it with that file; MSPEC_DEBUG=1 shows the stack",
  ].join("\n");
}
