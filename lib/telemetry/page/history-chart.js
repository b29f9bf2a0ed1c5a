import { byId, html, setText, svg } from './elements.js';
import { formatRate } from './format.js';
import { SOURCES, nearest, niceMax, runs, spanMs, stack } from './history-scale.js';

const NAMES = { origin: 'Origin', peer: 'Peers', cache: 'Cache' };
const LEFT = 70;
const BOTTOM = 22;
const TOP = 8;

/** Stacked areas of the last hour, read with the pointer or the arrow keys. */
export class HistoryChart {
  #host = byId('history');
  #points = [];
  /** Of this moment: the newest point is up to a step old. */
  #rates = {};
  /** Index of the point being read; -1: the newest. */
  #at = -1;

  constructor() {
    this.#host.addEventListener('pointermove', (event) => this.#point(event));
    this.#host.addEventListener('pointerleave', () => this.#read(-1));
    this.#host.addEventListener('blur', () => this.#read(-1));
    this.#host.addEventListener('keydown', (event) => this.#key(event));
    new ResizeObserver(() => this.#draw()).observe(this.#host);
  }

  show(points, rates) {
    this.#points = points;
    this.#rates = rates;
    if (this.#at >= points.length) this.#at = -1;
    this.#draw();
  }

  #endMs() {
    return this.#points.at(-1)?.atMs ?? Date.now();
  }

  #point(event) {
    const box = this.#host.getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / (box.width - LEFT);
    this.#read(nearest(this.#points, this.#endMs() - (1 - share) * spanMs(this.#points)));
  }

  #key(event) {
    const last = this.#points.length - 1;
    const at = this.#at === -1 ? last : this.#at;
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last };
    const to = moves[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.#read(Math.min(last, Math.max(0, to)));
  }

  #read(index) {
    this.#at = index;
    this.#draw();
  }

  #draw() {
    const width = this.#host.clientWidth;
    const height = this.#host.clientHeight;
    if (width === 0) return;
    const stacked = stack(this.#points);
    const top = niceMax(Math.max(0, ...stacked.map((sums) => sums.at(-1)[1])));
    const endMs = this.#endMs();
    const span = spanMs(this.#points);
    const x = (atMs) => (LEFT + (1 - (endMs - atMs) / span) * (width - LEFT)).toFixed(1);
    const y = (value) => (TOP + (1 - value / top) * (height - TOP - BOTTOM)).toFixed(1);

    const grid = [0, 0.5, 1].map((share) => [
      svg('line', { class: 'grid', x1: LEFT, x2: width, y1: y(top * share), y2: y(top * share) }),
      svg(
        'text',
        { x: LEFT - 8, y: Number(y(top * share)) + 4, 'text-anchor': 'end' },
        formatRate(top * share).replace('.0 ', ' '),
      ),
    ]);
    const minutes = span / 60_000;
    const times = [1, 2 / 3, 1 / 3, 0].map((share) =>
      svg(
        'text',
        {
          x: x(endMs - share * span),
          y: height - 4,
          'text-anchor': share === 0 ? 'end' : share === 1 ? 'start' : 'middle',
        },
        share === 0 ? 'now' : `−${Math.round(share * minutes)} min`,
      ),
    );
    setText(
      'h-history',
      `Throughput by source, last ${minutes === 60 ? 'hour' : `${minutes} minutes`}`,
    );
    const areas = SOURCES.flatMap((source, layer) =>
      runs(this.#points).map(([first, last]) => {
        const over = [];
        const under = [];
        for (let i = first; i <= last; i++) {
          over.push(`${x(this.#points[i].atMs)},${y(stacked[i][layer][1])}`);
          under.unshift(`${x(this.#points[i].atMs)},${y(stacked[i][layer][0])}`);
        }
        return svg('polygon', { class: `area ${source}`, points: [...over, ...under].join(' ') });
      }),
    );
    const read = this.#points[this.#at];
    const cursor =
      read === undefined
        ? []
        : [
            svg('line', {
              class: 'cursor',
              x1: x(read.atMs),
              x2: x(read.atMs),
              y1: TOP,
              y2: height - BOTTOM,
            }),
          ];
    this.#host.replaceChildren(
      svg(
        'svg',
        { viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' },
        grid,
        areas,
        times,
        cursor,
      ),
    );
    this.#legend(read ?? this.#rates, read !== undefined);
  }

  #legend(point, chosen) {
    const value = (source) => formatRate(point[source] ?? 0);
    const when = chosen ? new Date(point.atMs).toLocaleTimeString() : 'now';
    const items = SOURCES.map((source) =>
      html(
        'span',
        {},
        html('i', { class: `key ${source}` }),
        `${NAMES[source]} `,
        html('b', {}, value(source)),
      ),
    );
    byId('legend').replaceChildren(html('span', {}, when), ...items);
    this.#host.setAttribute(
      'aria-label',
      `Throughput by source, ${when}: ` +
        `${SOURCES.map((source) => `${NAMES[source]} ${value(source)}`).join(', ')}`,
    );
  }
}
