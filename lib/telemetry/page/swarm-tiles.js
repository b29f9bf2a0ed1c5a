import { arrange, byId, html, setBytes, setText } from './elements.js';
import { formatBytes, formatRate } from './format.js';
import { inFrames } from './frames.js';
import { NODE_STATES, STATE_WORDS, arrowKeys, progressOf, progressText } from './swarm-words.js';

/** A tile for each node; it fills with the progress of its pull. */
export class NodeTiles {
  #host = byId('tiles');
  #choice = byId('tiles-image');
  #tiles = new Map();
  #nodes = new Map();
  #status;
  #read = '';

  constructor() {
    this.#choice.addEventListener('change', () => this.show(this.#status));
    for (const kind of ['focusin', 'pointerover'])
      this.#host.addEventListener(kind, ({ target }) => this.#detail(target.dataset.node));
    arrowKeys(this.#host);
  }

  show(status) {
    this.#status = status;
    this.#images(status.images);
    const image = this.#choice.value === '' ? null : Number(this.#choice.value);
    this.#nodes = new Map(status.nodes.map((node) => [node.node, node]));
    inFrames(this, this.#paint(status.nodes, image));
    byId('node-counts').replaceChildren(
      ...NODE_STATES.filter((state) => status.states[state] > 0).map((state) =>
        html(
          'span',
          {},
          html('i', { class: `node-key ${state}` }),
          html('b', {}, String(status.states[state])),
          ` ${STATE_WORDS[state]}`,
        ),
      ),
    );
    this.#detail(this.#read);
  }

  *#paint(nodes, image) {
    for (const name of this.#tiles.keys()) if (!this.#nodes.has(name)) this.#tiles.delete(name);
    arrange(this.#host, [...this.#tiles.values()]);
    for (const node of nodes) {
      let tile = this.#tiles.get(node.node);
      if (tile === undefined) {
        tile = html('button', { type: 'button', 'data-node': node.node, tabindex: -1 });
        this.#tiles.set(node.node, tile);
        this.#host.append(tile);
      }
      yield paint(tile, node, image);
    }
    if (this.#host.querySelector('[tabindex="0"]') === null)
      this.#host.firstElementChild?.setAttribute('tabindex', 0);
  }

  #images(images) {
    const wanted = [
      ['', 'the latest image of each node'],
      ...images.map(({ image }, at) => [String(at), image]),
    ];
    const key = JSON.stringify(wanted);
    if (this.#choice.dataset.key === key) return;
    this.#choice.dataset.key = key;
    const before = this.#choice.selectedOptions[0]?.textContent;
    this.#choice.replaceChildren(
      ...wanted.map(([value, text]) =>
        html('option', { value, selected: text === before && '' }, text),
      ),
    );
  }

  #detail(name) {
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    this.#read = name;
    const image = this.#choice.value === '' ? null : Number(this.#choice.value);
    const { summary } = node;
    const page = summary?.page ?? null;
    byId('tile-detail').replaceChildren(
      page === null
        ? html('b', { class: 'mono' }, node.node)
        : html('a', { class: 'mono', href: `${page}/`, rel: 'noreferrer' }, node.node),
      ` ${node.role}, ${STATE_WORDS[node.state]}`,
      node.reason === '' ? '' : `: ${node.reason}`,
      `. Image: ${progressText(node, image)}.`,
      summary === null ? '' : ` To clients ${formatRate(summary.rates.client)}.`,
    );
  }
}

/**
 * Touches only what has changed: with 1,000 nodes most have not. Returns how many elements look
 * different.
 */
function paint(tile, node, image) {
  const share = progressOf(node, image);
  const isDone = share === 1 && (node.state === 'ready' || image !== null);
  const look = isDone ? `${node.state} done` : node.state;
  // In steps that are seen: a browser computes the style of each tile that changes.
  const level = `${Math.round((share ?? 0) * 20) * 5}%`;
  const changes = tile.className !== look || tile.dataset.level !== level;
  if (tile.className !== look) tile.className = look;
  if (tile.dataset.level !== level) {
    tile.dataset.level = level;
    tile.style.backgroundSize = `100% ${level}`;
  }
  const label = `${node.node}: ${STATE_WORDS[node.state]}, ${progressText(node, image)}`;
  if (tile.getAttribute('aria-label') !== label) tile.setAttribute('aria-label', label);
  return changes ? 1 : 0;
}

export function showSaved({ savedBytes, bytes, rates, medianRate, states }) {
  setBytes('saved', savedBytes);
  // While a pull begins, the registry has sent more than clients have got.
  const times = bytes.origin === 0 ? 0 : bytes.client / bytes.origin;
  setText(
    'saved-text',
    bytes.client === 0
      ? 'No client has read anything yet.'
      : `Clients got ${formatBytes(bytes.client)}; the registry sent ${formatBytes(bytes.origin)}` +
          `${times <= 1 ? '' : `, ${times.toFixed(1)} times less`}. ` +
          'Without Shoal the registry would have sent all of it.',
  );
  for (const source of ['origin', 'peer', 'cache', 'client']) {
    setBytes(`tile-${source}`, bytes[source]);
    setText(`rate-${source}`, `${formatRate(rates[source])} now`);
  }
  setText('tile-median', medianRate === 0 ? '–' : formatRate(medianRate));
  const pulling = states.pulling + states.slow;
  setText('rate-median', pulling === 0 ? 'no node pulls now' : `${pulling} pulling or slow`);
}
