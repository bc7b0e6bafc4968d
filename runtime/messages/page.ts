// Sentences about what a page cannot do, and what a server answers it.

import { Fault, type FaultParts } from "../fault.ts";

function refuse(what: string, claim: string, rest: Partial<FaultParts> = {}): Fault {
  return new Fault({ code: `page/${what}`, kind: "environment", claim, ...rest });
}

export function unreachable(address: string, cause: unknown): Fault {
  return refuse("unreachable", "a file cannot be fetched", {
    at: address,
    details: [cause instanceof Error ? cause.message : String(cause)],
    help: "look whether the server runs, and whether it lets pages of other addresses read from it (CORS)",
    cause,
  });
}

export function notFound(address: string): Fault {
  return refuse("not-found", "the server has no such file", {
    at: address,
    help: "put the folder that `mspec compile` writes there, or correct the address",
  });
}

export function wrongStatus(address: string, status: number, reason: string): Fault {
  return refuse("refused", `the server refuses a file with status ${status}`, {
    at: address,
    ...(reason === "" ? {} : { details: [reason] }),
    help: "look into the server's log",
  });
}

/** Servers of applications of one page answer with it whatever is asked for. */
export function htmlInstead(address: string): Fault {
  return refuse("html-instead", "the server answers with an HTML page where a file of another kind should be", {
    at: address,
    help: "put the file there: many servers send their start page for whatever they do not have",
  });
}

export function noWebGpu(isSecure: boolean): Fault {
  return refuse("no-webgpu", "this page has no WebGPU", {
    details: [
      isSecure
        ? "the browser does not offer `navigator.gpu`"
        : "browsers offer it to secure pages only, and this one is not",
    ],
    help: isSecure
      ? "take a browser with WebGPU, and look whether its settings turn it off"
      : "serve the page by https, or from localhost",
  });
}

export function noFolders(what: string): Fault {
  return refuse("no-folders", `a page has no folders to ${what}`, {
    help: "give the text or the tokens as `corpus`, leave out `folder`, and keep what `model.parameter` gives",
  });
}
