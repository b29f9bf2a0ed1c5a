import Table from 'cli-table3';
import pc from 'picocolors';
import { tiers } from '../telemetry/metrics-list.ts';
import { shownText } from '../telemetry/obeyed.ts';
import type { PeerStatus, Status } from '../telemetry/status.ts';
import { formatBytes } from '../quantity.ts';

/** Rows of peers and errors that fit a screen; `--json` has them all. */
const PEER_ROWS = 15;
const ERROR_ROWS = 5;

const PLAIN = { head: [], border: [], compact: true };

/**
 * GET /status as text: identity, traffic, stores, blobs in flight, peers, recent errors.
 */
export function renderStatus(status: Status): string {
  const parts = [head(status), flow(status), stores(status)];
  if (status.inFlight.length > 0) parts.push(inFlight(status));
  if (status.peers.length > 0) parts.push(peers(status));
  if (status.recentErrors.length > 0) parts.push(errors(status));
  return `${parts.join('\n\n')}\n`;
}

function head(status: Status): string {
  const state = status.ready
    ? pc.green('ready')
    : pc.red(`not ready: ${status.notReady.join(', ')}`);
  return (
    `${pc.bold(status.node)}  ${status.mode}  shoal ${status.version}  up ` +
    `${formatUptime(status.uptimeSeconds)}  ${state}`
  );
}

function flow({ bytes, sent, rates }: Status): string {
  const table = new Table({
    head: ['traffic', 'per second', 'since start'],
    colAligns: ['left', 'right', 'right'],
    style: PLAIN,
  });
  table.push(
    ['from origin', formatBytes(rates.origin), formatBytes(bytes.origin)],
    ['from peers', formatBytes(rates.peer), formatBytes(bytes.peer)],
    ['from cache', formatBytes(rates.cache), formatBytes(bytes.cache)],
    ['to clients', formatBytes(rates.client), formatBytes(sent.client)],
    ['to peers', formatBytes(rates.upload), formatBytes(sent.peer)],
  );
  return table.toString();
}

function stores({
  hitRatio,
  cache,
  runtimeStore,
  arena,
  queues,
  trees,
  peersByState,
}: Status): string {
  const waiting = Object.entries(queues).filter(([, length]) => length > 0);
  return [
    `hits      ${tiers.map((tier) => `${tier} ${percent(hitRatio[tier])}`).join('  ')}`,
    `cache     ${formatBytes(cache.usedBytes)} of ${formatBytes(cache.allocatedBytes)} ` +
      `in ${cache.entries} ` +
      `entries${cache.suspended ? pc.red('  suspended: serving from memory') : ''}`,
    `runtime   ${runtimeText(runtimeStore)}`,
    `memory    ${arena.used} of ${arena.slots} slots`,
    `peers     ${countsOf(peersByState)}`,
    `trees     ${trees.tracked} tracked, ${trees.depthMax} deep`,
    `waiting   ${waiting.map(([queue, length]) => `${queue} ${length}`).join('  ') || 'nothing'}`,
  ].join('\n');
}

/** `3 up, 1 cooling`; states without peers are left out. */
function countsOf(peersByState: Status['peersByState']): string {
  const counts = Object.entries(peersByState)
    .filter(([, count]) => count > 0)
    .reverse()
    .map(([state, count]) => `${count} ${state}`);
  return counts.join(', ') || 'none';
}

function runtimeText(store: Status['runtimeStore']): string {
  if (store === null) return 'content store not used';
  const { dir, state, blobs, unverified, dropsLayers } = store;
  if (state === 'unreadable') return pc.red(`${dir} cannot be read: layers are cached`);
  return [
    `${blobs} blobs in ${dir}`,
    ...(unverified === 0 ? [] : [`${unverified} to be verified`]),
    ...(dropsLayers ? [pc.yellow('drops layers: they are cached')] : []),
  ].join(', ');
}

function inFlight(status: Status): string {
  const table = new Table({
    head: ['blob in flight', 'from', 'progress', '', 'clients / nodes'],
    colAligns: ['left', 'left', 'right', 'right', 'right'],
    style: PLAIN,
  });
  for (const entry of status.inFlight) {
    const { blob, source, totalBytes, clients, nodes } = entry;
    const doneBytes = clients > 0 ? entry.sentBytes : entry.receivedBytes;
    const of =
      totalBytes === null
        ? formatBytes(doneBytes)
        : `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
    table.push([
      shortBlob(blob),
      source,
      of,
      totalBytes === null || totalBytes === 0 ? '-' : percent(doneBytes / totalBytes),
      `${clients} / ${nodes}`,
    ]);
  }
  return table.toString();
}

function peers(status: Status): string {
  const table = new Table({
    head: ['peer', 'role', 'zone', 'state', 'receiving', 'sending'],
    colAligns: ['left', 'left', 'left', 'left', 'right', 'right'],
    style: PLAIN,
  });
  for (const peer of status.peers.slice(0, PEER_ROWS)) {
    table.push([
      peer.node,
      peer.role,
      peer.zone ?? '-',
      stateWord(peer),
      `${formatBytes(peer.receivedBytesPerSecond)}/s`,
      `${formatBytes(peer.sentBytesPerSecond)}/s`,
    ]);
  }
  const more = status.peers.length - PEER_ROWS;
  return more > 0 ? `${table.toString()}\n  and ${more} more` : table.toString();
}

function errors(status: Status): string {
  const lines = status.recentErrors.slice(0, ERROR_ROWS).map(({ atMs, code, message, count }) => {
    return (
      `  ${new Date(atMs).toISOString()}  ${pc.red(code)}  ` +
      `${shownText(message)}${count > 1 ? `  (${count} times)` : ''}`
    );
  });
  return ['recent errors', ...lines].join('\n');
}

function stateWord({ state }: PeerStatus): string {
  if (state === 'up' || state === 'unknown') return state;
  return state === 'cooling' || state === 'slow' ? pc.yellow(state) : pc.red(state);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** `sha256:dd65726c224b`: enough to tell blobs apart. */
function shortBlob(blob: string): string {
  const colon = blob.indexOf(':');
  return blob.slice(0, colon + 13);
}

/** `3d 4h`, `4h 5m`, `5m 6s`, `6s`. */
export function formatUptime(seconds: number): string {
  const units: [string, number][] = [
    ['d', Math.floor(seconds / 86_400)],
    ['h', Math.floor(seconds / 3_600) % 24],
    ['m', Math.floor(seconds / 60) % 60],
    ['s', Math.floor(seconds) % 60],
  ];
  const first = Math.max(
    0,
    units.findIndex(([, value]) => value > 0),
  );
  return (first === 0 && seconds < 86_400 ? units.slice(3) : units.slice(first, first + 2))
    .map(([unit, value]) => `${value}${unit}`)
    .join(' ');
}
