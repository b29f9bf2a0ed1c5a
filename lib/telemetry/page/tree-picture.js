import { byId, html, setText, svg } from './elements.js';
import { shortBlob } from './format.js';
import { layOut } from './tree-layout.js';

const STATE_NAMES = {
  owner: 'sends first',
  receiving: 'receiving',
  complete: 'has it',
  failed: 'failed',
};

/**
 * The tree of a chosen blob, one shard at a time: who sends to whom, as a picture and as nested
 * lists.
 */
export class TreePicture {
  #blobChoice = byId('tree-blob');
  #shardChoice = byId('tree-shard');
  #shards = [];
  #drawn = '';

  constructor() {
    this.#blobChoice.addEventListener('change', () => void this.refresh());
    this.#shardChoice.addEventListener('change', () => this.#draw());
  }

  /** Offers the blobs of a status; the choice stays while it exists. */
  offer({ trees, inFlight }) {
    const blobs = [...new Set([...trees.blobs, ...inFlight.map(({ blob }) => blob)])];
    this.#options(
      this.#blobChoice,
      blobs.map((blob) => [blob, shortBlob(blob)]),
    );
    return this.refresh();
  }

  async refresh() {
    const blob = this.#blobChoice.value;
    this.#shards = blob === '' ? [] : await fetchShards(blob);
    const chosen = this.#shardChoice.value;
    // The fullest tree is the one worth a first look.
    const sorted = [...this.#shards].sort((a, b) => b.edges.length - a.edges.length);
    this.#options(
      this.#shardChoice,
      this.#shards.map(({ index, edges }) => [
        String(index),
        `${index} (${edges.length} ${edges.length === 1 ? 'edge' : 'edges'})`,
      ]),
    );
    if (!this.#shards.some(({ index }) => String(index) === chosen) && sorted.length > 0)
      this.#shardChoice.value = String(sorted[0].index);
    this.#draw();
  }

  #options(select, wanted) {
    const before = select.value;
    const key = JSON.stringify(wanted);
    if (select.dataset.key === key) return;
    select.dataset.key = key;
    select.replaceChildren(...wanted.map(([value, text]) => html('option', { value }, text)));
    if (wanted.some(([value]) => value === before)) select.value = before;
    select.disabled = wanted.length === 0;
  }

  #draw() {
    const shard = this.#shards.find(({ index }) => String(index) === this.#shardChoice.value);
    const key = JSON.stringify([this.#blobChoice.value, shard]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    byId('tree-details').hidden = shard === undefined;
    byId('tree').hidden = shard === undefined;
    if (shard === undefined) {
      setText(
        'tree-note',
        this.#blobChoice.value === ''
          ? 'This node tracks no shard as its owner yet.'
          : 'This node tracks no shard of this blob.',
      );
      return;
    }
    const { roots, places, named, depthMax, width, height } = layOut(shard.edges);
    setText(
      'tree-note',
      `Shard ${shard.index}: ${places.length} nodes, ${depthMax} ` +
        `${depthMax === 1 ? 'hop' : 'hops'} deep. Solid: has it; dashed: receiving; ` +
        'dotted: failed.',
    );
    const links = places
      .filter(({ parent }) => parent !== undefined)
      .map(({ parent, x, y, state }) => {
        const middle = (parent.endX + x) / 2;
        return svg('path', {
          class: `edge ${state}`,
          d: `M${parent.endX} ${parent.y}C${middle} ${parent.y} ${middle} ${y} ${x} ${y}`,
        });
      });
    const dots = places.map(({ name, x, y, state }) =>
      svg(
        'g',
        { class: state },
        svg('title', {}, `${name}: ${STATE_NAMES[state]}`),
        svg('circle', { cx: x, cy: y, r: named ? 6 : 4.5 }),
        named ? svg('text', { x: x + 11, y: y + 4 }, name) : undefined,
      ),
    );
    byId('tree').replaceChildren(
      svg(
        'svg',
        {
          width,
          height,
          viewBox: `0 0 ${width} ${height}`,
          role: 'img',
          'aria-label': `Tree of shard ${shard.index}, ${places.length} nodes`,
        },
        links,
        dots,
      ),
    );
    byId('tree-text').replaceChildren(list(roots));
  }
}

function list(nodes) {
  return html(
    'ul',
    {},
    nodes.map((node) =>
      html(
        'li',
        {},
        `${node.name}: ${STATE_NAMES[node.state]}`,
        node.children.length > 0 ? list(node.children) : undefined,
      ),
    ),
  );
}

async function fetchShards(blob) {
  try {
    const response = await fetch(`/status/tree?blob=${encodeURIComponent(blob)}`);
    return response.ok ? (await response.json()).shards : [];
  } catch {
    return [];
  }
}
