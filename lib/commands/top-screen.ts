import pc from 'picocolors';
import {
  nodeStates,
  type NodeState,
  type SwarmNode,
  type SwarmStatus,
} from '../telemetry/swarm-status.ts';
import { formatBytes } from '../quantity.ts';
import { cut, tail, wrap } from './columns.ts';

/** How full a tile is, from nothing to nearly all. */
const LEVELS = [...'·▁▂▃▄▅▆▇'];
const DONE = '█';
const MARKS: Partial<Record<NodeState, string>> = { failing: 'X', silent: '?', unheard: '-' };
const TILE_ROWS_MAX = 16;
const IMAGES_MAX = 5;
/** Of an image's name beside its counts. */
const IMAGE_COLUMNS_MIN = 16;

interface Column {
  title: string;
  width: number;
  text(node: SwarmNode, status: SwarmStatus): string;
}

/** The most telling first: a narrow terminal has the first of them only. */
const COLUMNS: readonly Column[] = [
  { title: 'node', width: 21, text: ({ node }) => node },
  { title: 'state', width: 8, text: ({ state }) => state },
  { title: 'has', width: 6, text: (node) => percent(node.progress) },
  { title: 'to clients', width: 11, text: ({ summary }) => rate(summary?.rates.client) },
  {
    title: 'median',
    width: 7,
    text: ({ summary }, { medianRate }) =>
      medianRate === 0 || summary === null ? '-' : percent(summary.rates.client / medianRate),
  },
  {
    title: 'cache',
    width: 6,
    text: ({ summary }) =>
      summary === null ? '-' : percent(summary.cache.usedBytes / summary.cache.capacityBytes),
  },
  { title: 'errors', width: 6, text: ({ summary }) => String(summary?.errors.count ?? '-') },
  { title: 'version', width: 9, text: ({ summary }) => summary?.version ?? '-' },
  {
    title: 'seen',
    width: 6,
    text: ({ lastSeenMs }, { atMs }) =>
      lastSeenMs === null ? 'never' : `${Math.max(0, Math.round((atMs - lastSeenMs) / 1000))} s`,
  },
];

/** The screen of `shoal top` in so many columns and rows; nothing is wider. */
export function renderTop(status: SwarmStatus, columns: number, rows: number): string {
  const { nodes, states, head, self, savedBytes, bytes, rates } = status;
  const counts = nodeStates
    .filter((state) => states[state] > 0)
    .map((state) => paint(state, `${states[state]} ${state}`));
  const from = head === null ? `as ${self} alone knows it` : `kept by ${head}`;
  const lines = [
    `${pc.bold('Shoal')}  ${nodes.length} nodes  ${from}`,
    wrap(counts, columns),
    wrap([pc.bold(pc.green(`saved ${formatBytes(savedBytes)}`)), ...timesLess(bytes)], columns),
    wrap(
      [
        `clients ${rate(rates.client)}`,
        `peers ${rate(rates.peer)}`,
        `cache ${rate(rates.cache)}`,
        `origin ${rate(rates.origin)}`,
      ],
      columns,
    ),
    '',
    ...tiles(nodes, columns, Math.min(TILE_ROWS_MAX, Math.max(1, Math.floor(rows / 3)))),
    '',
  ].flatMap((line) => line.split('\n'));
  const images = imageLines(status, columns).flatMap((line) => line.split('\n'));
  const room = Math.max(3, rows - lines.length - images.length - 1);
  const table = tableLines(status, columns, room);
  return `${[...lines, ...table, ...images].map((line) => cut(line, columns)).join('\n')}\n`;
}

function timesLess({ client, origin }: SwarmStatus['bytes']): string[] {
  if (client === 0) return ['no client has read anything yet'];
  const times = origin === 0 || origin >= client ? '' : `, ${(client / origin).toFixed(1)} x less`;
  return [`clients ${formatBytes(client)}`, `registry ${formatBytes(origin)}${times}`];
}

function tiles(nodes: readonly SwarmNode[], columns: number, rowsMax: number): string[] {
  const lines: string[] = [];
  for (let at = 0; at < nodes.length && lines.length < rowsMax; at += columns)
    lines.push(
      nodes
        .slice(at, at + columns)
        .map((node) => paint(node.state, tile(node)))
        .join(''),
    );
  const shown = lines.length * columns;
  return shown < nodes.length ? [...lines, `and ${nodes.length - shown} more`] : lines;
}

function tile({ state, progress }: SwarmNode): string {
  const mark = MARKS[state];
  if (mark !== undefined) return mark;
  if (progress === 1) return DONE;
  return LEVELS[Math.floor((progress ?? 0) * LEVELS.length)] ?? LEVELS[0]!;
}

/** Nodes in trouble first, then those that have least. */
function tableLines(status: SwarmStatus, columns: number, room: number): string[] {
  const shown = COLUMNS.filter(
    (_, at) => COLUMNS.slice(0, at + 1).reduce((sum, { width }) => sum + width + 1, -1) <= columns,
  );
  const pad = (text: string, { width }: Column, at: number): string =>
    at < 2 ? text.slice(0, width).padEnd(width) : text.slice(0, width).padStart(width);
  const ranked = [...status.nodes].sort(
    (a, b) =>
      nodeStates.indexOf(a.state) - nodeStates.indexOf(b.state) ||
      (a.progress ?? 0) - (b.progress ?? 0),
  );
  const rows = ranked.slice(0, room - 1).map((node) => {
    const cells = shown.map((column, at) => pad(column.text(node, status), column, at));
    cells[1] = paint(node.state, cells[1]!);
    return cells.join(' ');
  });
  return [pc.dim(shown.map((column, at) => pad(column.title, column, at)).join(' ')), ...rows];
}

function imageLines({ images, nodes }: SwarmStatus, columns: number): string[] {
  if (images.length === 0) return [];
  return [
    '',
    ...images.slice(0, IMAGES_MAX).map(({ image, have, pulling, failed }) => {
      const counts = `${have} of ${nodes.length} have it, ${pulling} pulling, ${failed} failed`;
      const room = columns - counts.length - 2;
      // On a narrow screen a line of its own.
      return room < IMAGE_COLUMNS_MIN
        ? `${tail(image, columns)}\n  ${counts}`
        : `${tail(image, room)}  ${counts}`;
    }),
  ];
}

function paint(state: NodeState, text: string): string {
  if (state === 'failing' || state === 'silent') return pc.red(text);
  if (state === 'slow') return pc.yellow(text);
  return state === 'ready' ? pc.green(text) : text;
}

function rate(bytesPerSecond: number | undefined): string {
  return bytesPerSecond === undefined ? '-' : `${formatBytes(bytesPerSecond)}/s`;
}

function percent(share: number | null): string {
  return share === null ? '-' : `${Math.round(share * 100)} %`;
}
