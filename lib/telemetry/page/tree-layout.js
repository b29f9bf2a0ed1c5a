// Places of a shard's tree: depth to the right, leaves below each other, a parent in the middle of
// its children.

/** Between a name and the next column. */
const GAP_X = 56;
const CHAR_X = 7;
const DOT_X = 16;
const ROW_TALL = 26;
const ROW_LOW = 12;
/** Above so many leaves rows are low and carry no names. */
const NAMED_MAX = 60;

/**
 * A forest from edges: who nobody sends to is a root. An edge that would close a loop is left out.
 */
function forest(edges) {
  const nodes = new Map();
  const node = (name) => {
    if (!nodes.has(name))
      nodes.set(name, { name, state: 'owner', parent: undefined, children: [] });
    return nodes.get(name);
  };
  const isAbove = (upper, lower) => {
    for (let at = lower; at !== undefined; at = at.parent) if (at === upper) return true;
    return false;
  };
  for (const { parent, child, state } of edges) {
    const above = node(parent);
    const below = node(child);
    if (below.parent !== undefined || isAbove(below, above)) continue;
    below.parent = above;
    below.state = state;
    above.children.push(below);
  }
  return [...nodes.values()].filter(({ parent }) => parent === undefined);
}

/** Every node with its place, and the size of the whole. */
export function layOut(edges) {
  const roots = forest(edges);
  const places = [];
  let leaves = 0;
  let depthMax = 0;
  const place = (node, depth) => {
    depthMax = Math.max(depthMax, depth);
    const rows = node.children.map((child) => place(child, depth + 1));
    const row = rows.length === 0 ? leaves++ : (rows[0] + rows[rows.length - 1]) / 2;
    node.depth = depth;
    node.row = row;
    places.push(node);
    return row;
  };
  for (const root of roots) place(root, 0);
  const named = leaves <= NAMED_MAX;
  const rowHeight = named ? ROW_TALL : ROW_LOW;
  const label = (node) => (named ? DOT_X + node.name.length * CHAR_X : 0);
  const column = Math.max(0, ...places.map(label));
  for (const node of places) {
    node.x = 10 + node.depth * (column + GAP_X);
    node.y = rowHeight * (node.row + 0.5);
    // Where the lines to its children begin: behind the name.
    node.endX = node.x + label(node);
  }
  return {
    roots,
    places,
    named,
    depthMax,
    width: 20 + depthMax * (column + GAP_X) + column,
    height: Math.max(rowHeight, leaves * rowHeight),
  };
}
