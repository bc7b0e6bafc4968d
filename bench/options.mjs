// @ts-check
// What is said behind `npm run bench --`.

/** What follows an option; undefined without it. @param {string} name */
export function option(name) {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
}
