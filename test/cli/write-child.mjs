// A process that strace kills or whose disk it makes fail: replaces the files of a folder with those of a JSON file.

import { readFileSync } from "node:fs";

const [module, folder, list] = process.argv.slice(2);
const { replaceFiles } = await import(module);
const { files, obsolete } = JSON.parse(readFileSync(list, "utf8"));
replaceFiles({ out: folder, files, marker: "manifest.json", obsolete: () => obsolete });
