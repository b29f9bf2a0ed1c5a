import { byId, html, setText } from './elements.js';
import { SHARD_BYTES, shortBlob } from './format.js';
import { arrowKeys } from './swarm-words.js';

/**
 * A shard's tree by levels: those who have it from the owner, those who have it from these, and so
 * on. A thousand nodes are a handful of levels, which fit any width.
 */
export class ShardLevels {
  #blob = byId('tree-blob');
  #shard = byId('tree-shard');
  #levels = byId('levels');
  #sizes = new Map();
  #nodes = new Map();
  #drawn = '';
  #asked = 0;

  constructor() {
    for (const input of [this.#blob, this.#shard])
      input.addEventListener('change', () => void this.#read());
    for (const kind of ['focusin', 'pointerover'])
      this.#levels.addEventListener(kind, ({ target }) => this.#detail(target.dataset.node));
    arrowKeys(this.#levels);
  }

  async show({ blobs }) {
    this.#sizes = new Map(blobs.map(({ blob, totalBytes }) => [blob, totalBytes]));
    const wanted = [...this.#sizes.keys()];
    const chosen = this.#blob.value;
    // A blob that is being looked at stays.
    if (chosen !== '' && !this.#sizes.has(chosen)) wanted.push(chosen);
    const key = wanted.join();
    if (this.#blob.dataset.key !== key) {
      this.#blob.dataset.key = key;
      this.#blob.replaceChildren(
        ...wanted.map((blob) => html('option', { value: blob }, shortBlob(blob))),
      );
      if (chosen !== '') this.#blob.value = chosen;
      this.#blob.disabled = wanted.length === 0;
    }
    await this.#read();
  }

  async #read() {
    const blob = this.#blob.value;
    if (blob === '') {
      setText('tree-note', 'No blob is being read.');
      return;
    }
    const totalBytes = this.#sizes.get(blob) ?? null;
    const last = totalBytes === null ? null : Math.max(0, Math.ceil(totalBytes / SHARD_BYTES) - 1);
    if (last !== null) this.#shard.max = last;
    const shard = Math.max(0, Math.min(Number(this.#shard.value) || 0, last ?? Infinity));
    const asked = ++this.#asked;
    const response = await fetch(`/swarm/tree?blob=${encodeURIComponent(blob)}&shard=${shard}`);
    if (!response.ok || asked !== this.#asked) return;
    const { edges } = await response.json();
    this.#draw(blob, shard, last, edges);
  }

  #draw(blob, shard, last, edges) {
    const key = JSON.stringify([blob, shard, edges]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    const of = last === null ? '' : ` of 0 to ${last}`;
    const { levels, nodes } = levelsOf(edges);
    this.#nodes = nodes;
    if (levels.length === 0) {
      setText('tree-note', `Shard ${shard}${of}: no node gets it from another now.`);
      this.#levels.replaceChildren();
      return;
    }
    const complete = edges.filter(({ state }) => state === 'complete').length;
    setText(
      'tree-note',
      `Shard ${shard}${of}: ${nodes.size} nodes, ${levels.length - 1} ` +
        `${levels.length === 2 ? 'hop' : 'hops'} deep, ${complete} have it whole.`,
    );
    const focused = document.activeElement?.dataset?.node;
    this.#levels.replaceChildren(...levels.map((groups, depth) => level(groups, depth)));
    const dots = [...this.#levels.querySelectorAll('button')];
    const first = dots.find(({ dataset }) => dataset.node === focused) ?? dots[0];
    first.tabIndex = 0;
    if (focused === first.dataset.node) first.focus();
  }

  #detail(name) {
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    const path = [];
    for (let at = node.parent; at !== null; at = at.parent) path.push(at.name);
    const above = new Set([name, ...path]);
    for (const dot of this.#levels.querySelectorAll('button')) {
      dot.classList.toggle('path', above.has(dot.dataset.node));
      dot.classList.toggle('child', this.#nodes.get(dot.dataset.node)?.parent === node);
    }
    const children = node.children.length;
    setText(
      'tree-detail',
      `${name}: ${node.state === 'owner' ? 'owner' : node.state}` +
        `${path.length === 0 ? '' : `, from ${path.join(' from ')}`}` +
        `, sends to ${children} ${children === 1 ? 'node' : 'nodes'}`,
    );
  }
}

function level(groups, depth) {
  const nodes = groups.flat();
  const title = depth === 0 ? 'Owner' : `${depth} ${depth === 1 ? 'hop' : 'hops'}`;
  return html(
    'div',
    { class: 'level', role: 'group', 'aria-label': `${title}: ${nodes.length} nodes` },
    html('p', { class: 'sub' }, html('b', {}, title), ` ${nodes.length}`),
    html(
      'div',
      { class: 'dots' },
      groups.map((siblings) =>
        html(
          'span',
          {},
          siblings.map(({ name, state }) =>
            html('button', {
              type: 'button',
              class: state,
              'data-node': name,
              tabindex: -1,
              'aria-label': `${name}: ${state}`,
            }),
          ),
        ),
      ),
    ),
  );
}

/** Nodes by their distance from the owner; each level in groups of those with one parent. */
function levelsOf(edges) {
  const nodes = new Map();
  const node = (name) => {
    if (!nodes.has(name)) nodes.set(name, { name, state: 'owner', parent: null, children: [] });
    return nodes.get(name);
  };
  const isAbove = (upper, lower) => {
    for (let at = lower; at !== null; at = at.parent) if (at === upper) return true;
    return false;
  };
  for (const { parent, child, state } of edges) {
    const [above, below] = [node(parent), node(child)];
    // An edge that would close a loop: two owners may know a node by different parents.
    if (below.parent !== null || isAbove(below, above)) continue;
    below.parent = above;
    below.state = state;
    above.children.push(below);
  }
  const levels = [];
  let groups = [[...nodes.values()].filter(({ parent }) => parent === null)];
  while (groups.flat().length > 0) {
    levels.push(groups);
    groups = groups
      .flat()
      .map(({ children }) => children)
      .filter((children) => children.length > 0);
  }
  return { levels, nodes };
}
