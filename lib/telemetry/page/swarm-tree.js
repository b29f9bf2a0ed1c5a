import { arrange, byId, html, setText } from './elements.js';
import { SHARD_BYTES, shortBlob } from './format.js';
import { inFrames } from './frames.js';
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
  #dots = new Map();
  #groups = new Map();
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
    const answer = await response.text();
    if (answer === this.#drawn || asked !== this.#asked) return;
    this.#drawn = answer;
    this.#draw(shard, last, JSON.parse(answer).edges);
  }

  #draw(shard, last, edges) {
    const of = last === null ? '' : ` of 0 to ${last}`;
    const { levels, nodes } = levelsOf(edges);
    this.#nodes = nodes;
    if (levels.length === 0) {
      setText('tree-note', `Shard ${shard}${of}: no node gets it from another now.`);
      inFrames(this, this.#arrange(levels));
      return;
    }
    const complete = edges.filter(({ state }) => state === 'complete').length;
    setText(
      'tree-note',
      `Shard ${shard}${of}: ${nodes.size} nodes, ${levels.length - 1} ` +
        `${levels.length === 2 ? 'hop' : 'hops'} deep, ${complete} have it whole.`,
    );
    inFrames(this, this.#arrange(levels));
  }

  /** A group of siblings a step; nodes that stay where they are keep their element. */
  *#arrange(levels) {
    const focused = document.activeElement?.dataset?.node;
    for (const name of this.#dots.keys()) if (!this.#nodes.has(name)) this.#dots.delete(name);
    for (const name of this.#groups.keys())
      if (name !== '' && !this.#nodes.has(name)) this.#groups.delete(name);
    while (this.#levels.childElementCount > levels.length) this.#levels.lastElementChild.remove();
    for (const [depth, groups] of levels.entries()) {
      const { element, count, dots } = this.#level(depth);
      const size = groups.flat().length;
      const title = depth === 0 ? 'Owner' : `${depth} ${depth === 1 ? 'hop' : 'hops'}`;
      element.ariaLabel = `${title}: ${size} nodes`;
      count.replaceChildren(html('b', {}, title), ` ${size}`);
      const shown = [];
      for (const siblings of groups) {
        const group = this.#group(siblings[0].parent?.name ?? '');
        const changed = siblings.filter((node) => this.#paint(node)).length;
        arrange(
          group,
          siblings.map(({ name }) => this.#dots.get(name).element),
        );
        shown.push(group);
        if (group.parentElement !== dots) dots.append(group);
        yield changed;
      }
      arrange(dots, shown);
      yield 1;
    }
    const at = this.#dots.get(focused)?.element;
    if (at !== undefined && at !== document.activeElement) at.focus();
    if (this.#levels.querySelector('[tabindex="0"]') === null)
      this.#levels.querySelector('button')?.setAttribute('tabindex', 0);
  }

  #level(depth) {
    let element = this.#levels.children[depth];
    if (element === undefined) {
      element = html('div', { class: 'level', role: 'group' }, html('p', { class: 'sub' }));
      element.append(html('div', { class: 'dots' }));
      this.#levels.append(element);
    }
    const [count, dots] = element.children;
    return { element, count, dots };
  }

  /** Of the children of one node. */
  #group(parent) {
    if (!this.#groups.has(parent)) this.#groups.set(parent, html('span'));
    return this.#groups.get(parent);
  }

  /** Makes or updates the dot of a node; whether it looks different now. */
  #paint({ name, state }) {
    let dot = this.#dots.get(name);
    if (dot === undefined) {
      const element = html('button', { type: 'button', 'data-node': name, tabindex: -1 });
      this.#dots.set(name, (dot = { element, state: '' }));
    }
    if (dot.state === state) return false;
    dot.element.className = state;
    dot.element.setAttribute('aria-label', `${name}: ${state}`);
    dot.state = state;
    return true;
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
