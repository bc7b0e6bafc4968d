// What is different between two normalised specs, key by key: their form is fixed, so lines and indentation tell all.

/** Sentences such as `train.seed was 42 and is 43`; none when both say the same. */
export function specDifferences(before: string, now: string): string[] {
  const [old, current] = [leavesOf(before), leavesOf(now)];
  const differences: string[] = [];
  for (const [path, value] of old) {
    const other = current.get(path);
    if (other === undefined) differences.push(`${path} was ${value} and is gone`);
    else if (other !== value) differences.push(`${path} was ${value} and is ${other}`);
  }
  for (const [path, value] of current) if (!old.has(path)) differences.push(`${path} is new: ${value}`);
  return differences;
}

/** Values by dotted path; entries of lists by index. */
function leavesOf(text: string): Map<string, string> {
  const leaves = new Map<string, string>();
  const parents: { indent: number; name: string; entries: number }[] = [];
  for (const line of text.split("\n")) {
    let rest = line.trimStart();
    let indent = line.length - rest.length;
    if (rest === "" || rest.startsWith("#")) continue;
    while ((parents.at(-1)?.indent ?? -1) >= indent) parents.pop();
    while (rest.startsWith("- ")) {
      const list = parents.at(-1);
      const index = list === undefined ? 0 : list.entries++;
      parents.push({ indent, name: `[${index}]`, entries: 0 });
      rest = rest.slice(2);
      indent += 2;
    }
    const [, key, value] = /^("(?:[^"\\]|\\.)*"|[^"\s][^:]*):(?: (.*))?$/.exec(rest) ?? [undefined, undefined, rest];
    if (key !== undefined) parents.push({ indent, name: key, entries: 0 });
    if (value !== undefined) leaves.set(pathOf(parents), value);
  }
  return leaves;
}

function pathOf(parents: readonly { readonly name: string }[]): string {
  return parents.reduce(
    (path, { name }) => (path === "" || name.startsWith("[") ? path + name : `${path}.${name}`),
    "",
  );
}
