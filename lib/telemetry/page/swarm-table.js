import { arrange, byId, html, setText } from './elements.js';
import { formatPercent, formatRate } from './format.js';
import {
  NODE_STATES,
  STATE_WORDS,
  cacheShare,
  medianText,
  progressText,
  seenText,
} from './swarm-words.js';

const ROWS_SHOWN = 25;
/** 10.0.0.9 comes before 10.0.0.10. */
const collator = new Intl.Collator('en', { numeric: true });

/**
 * Title, text, and the value to sort by, which gets the rank of each node's name; `down`: the
 * largest first when it is chosen.
 */
const COLUMNS = [
  { title: 'Node', text: (node) => node.node, value: (node, ranks) => ranks.get(node.node) },
  {
    title: 'State',
    text: (node) => STATE_WORDS[node.state],
    value: (node) => NODE_STATES.indexOf(node.state),
  },
  {
    title: 'Progress',
    text: (node) => progressText(node),
    value: (node) => node.progress ?? -1,
    number: true,
  },
  {
    title: 'To clients',
    text: ({ summary }) => (summary === null ? '–' : formatRate(summary.rates.client)),
    value: ({ summary }) => summary?.rates.client ?? -1,
    number: true,
    down: true,
  },
  {
    title: 'Of the median',
    text: (node, { medianRate }) => medianText(node, medianRate),
    value: ({ summary }) => summary?.rates.client ?? -1,
    number: true,
  },
  {
    title: 'Cache',
    text: (node) => (cacheShare(node) === null ? '–' : formatPercent(cacheShare(node))),
    value: (node) => cacheShare(node) ?? -1,
    number: true,
    down: true,
  },
  {
    title: 'Errors',
    text: ({ summary }) =>
      summary === null
        ? '–'
        : summary.errors.lastCode === null
          ? String(summary.errors.count)
          : `${summary.errors.count} (${summary.errors.lastCode})`,
    value: ({ summary }) => summary?.errors.count ?? -1,
    number: true,
    down: true,
  },
  {
    title: 'Version',
    text: ({ summary }) => summary?.version ?? '–',
    value: ({ summary }) => summary?.version ?? '',
  },
  {
    title: 'Seen',
    text: (node, { atMs }) => seenText(node, atMs),
    value: (node) => node.lastSeenMs ?? 0,
  },
];

/**
 * The table of nodes: sortable, with a search, in pages. Only the rows of one page are in the
 * document: an update touches no more than those, whatever the size of the swarm.
 */
export class NodeTable {
  #body = byId('nodes').tBodies[0];
  #head = byId('nodes').tHead.rows[0];
  #sort = byId('table-sort');
  #find = byId('table-find');
  #back = byId('table-back');
  #on = byId('table-on');
  #rows = new Map();
  #ranks = new Map();
  #column = 1;
  #isDown = false;
  #fromRow = 0;
  #status;

  constructor() {
    COLUMNS.forEach(({ title, number }, at) => {
      const button = html('button', { type: 'button', class: 'sort' }, title);
      button.addEventListener('click', () => this.#by(at));
      this.#head.append(html('th', { scope: 'col', class: number && 'num' }, button));
      this.#sort.append(html('option', { value: at, selected: at === 1 && '' }, title));
    });
    this.#sort.addEventListener('change', () => this.#by(Number(this.#sort.value)));
    this.#find.addEventListener('input', () => this.#turn(-this.#fromRow));
    this.#back.addEventListener('click', () => this.#turn(-ROWS_SHOWN));
    this.#on.addEventListener('click', () => this.#turn(ROWS_SHOWN));
  }

  show(status) {
    this.#status = status;
    const wanted = this.#find.value.trim();
    const found = status.nodes.filter((node) =>
      `${node.node} ${STATE_WORDS[node.state]} ${node.zone ?? ''}`.includes(wanted),
    );
    const { value } = COLUMNS[this.#column];
    this.#rank(status.nodes);
    const order = (a, b) => (typeof a === 'string' ? collator.compare(a, b) : a - b);
    const rank = ({ node }) => this.#ranks.get(node.node);
    const sign = this.#isDown ? -1 : 1;
    const keyed = found.map((node) => ({ node, key: value(node, this.#ranks) }));
    keyed.sort((a, b) => sign * order(a.key, b.key) || rank(a) - rank(b));
    // There may be fewer nodes than before.
    const lastPage = Math.floor(Math.max(0, found.length - 1) / ROWS_SHOWN) * ROWS_SHOWN;
    this.#fromRow = Math.min(this.#fromRow, lastPage);
    const shown = keyed.slice(this.#fromRow, this.#fromRow + ROWS_SHOWN);
    const rows = shown.map(({ node }) => this.#row(node));
    arrange(this.#body, rows);
    const names = new Set(shown.map(({ node }) => node.node));
    for (const name of this.#rows.keys()) if (!names.has(name)) this.#rows.delete(name);
    [...this.#head.cells].forEach((cell, at) => {
      if (at === this.#column)
        cell.setAttribute('aria-sort', this.#isDown ? 'descending' : 'ascending');
      else cell.removeAttribute('aria-sort');
    });
    const isPart = found.length < status.nodes.length;
    setText(
      'table-note',
      (shown.length === 0 ? 'none' : `${this.#fromRow + 1} to ${this.#fromRow + shown.length}`) +
        ` of ${found.length}${isPart ? ` found, ${status.nodes.length}` : ''} nodes`,
    );
    for (const [button, isOver] of [
      [this.#back, this.#fromRow === 0],
      [this.#on, this.#fromRow + ROWS_SHOWN >= found.length],
    ]) {
      button.hidden = found.length <= ROWS_SHOWN;
      // Not `disabled`: the focus would be lost.
      if (button.ariaDisabled !== String(isOver)) button.ariaDisabled = String(isOver);
    }
  }

  /** Names are compared once: with 1,000 nodes that takes longer than all the rest. */
  #rank(nodes) {
    if (nodes.length === this.#ranks.size && nodes.every(({ node }) => this.#ranks.has(node)))
      return;
    const names = nodes.map(({ node }) => node).toSorted(collator.compare);
    this.#ranks = new Map(names.map((name, at) => [name, at]));
  }

  #turn(rows) {
    this.#fromRow = Math.max(0, this.#fromRow + rows);
    if (this.#status !== undefined) this.show(this.#status);
  }

  #by(column) {
    this.#isDown = column === this.#column ? !this.#isDown : (COLUMNS[column].down ?? false);
    this.#column = column;
    this.#sort.value = String(column);
    this.#turn(-this.#fromRow);
  }

  #row(node) {
    let row = this.#rows.get(node.node);
    if (row === undefined) {
      const cells = COLUMNS.map(({ title, number }) =>
        html('td', { class: number && 'num', 'data-label': title }),
      );
      const link = html('a', { class: 'mono', rel: 'noreferrer' });
      const state = html('span');
      cells[0].append(link);
      cells[1].append(state);
      row = {
        element: html('tr', {}, cells),
        parts: [link, state, ...cells.slice(2)],
        /** What is shown: to read it from the document takes longer. */
        ...{ words: [], link, page: null, state: '' },
      };
      this.#rows.set(node.node, row);
    }
    const page = node.summary?.page ?? null;
    if (page !== row.page) row.link.setAttribute('href', `${page}/`);
    row.page = page;
    if (node.state !== row.state) row.parts[1].className = `node-state ${node.state}`;
    row.state = node.state;
    if (row.parts[1].title !== node.reason) row.parts[1].title = node.reason;
    COLUMNS.forEach(({ text }, at) => {
      const words = text(node, this.#status);
      if (row.words[at] !== words) row.parts[at].textContent = words;
      row.words[at] = words;
    });
    return row.element;
  }
}
