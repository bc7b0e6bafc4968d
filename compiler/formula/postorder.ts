// Walks directed acyclic graphs, what a node is made of before the node. Iterative, so depth is no limit.

export function walkPostorder<T>(
  roots: readonly T[],
  below: (node: T) => readonly T[],
  stop: (node: T) => boolean = () => false,
): T[] {
  const seen = new Set<T>();
  const order: T[] = [];
  const stack: { node: T; children: readonly T[]; next: number }[] = [];
  const enter = (node: T) => {
    if (seen.has(node) || stop(node)) return;
    seen.add(node);
    stack.push({ node, children: below(node), next: 0 });
  };
  for (const root of roots) {
    enter(root);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      if (top.next < top.children.length) enter(top.children[top.next++]);
      else {
        order.push(top.node);
        stack.pop();
      }
    }
  }
  return order;
}
