import { bar, byId, html, setBytes, setText } from './elements.js';
import { formatBytes, formatPercent, formatRate, formatSpan, shortBlob } from './format.js';

const PEERS_SHOWN = 10;
const SOURCE_NAMES = {
  origin: 'from the origin',
  peer: 'from peers',
  disk: 'from disk',
  memory: 'from memory',
};
const PULLS_SHOWN = 100;
const STATES = {
  up: 'up',
  unknown: 'unknown',
  slow: 'slow',
  cooling: 'cooling down',
  unauthorized: 'unauthorized',
  quarantined: 'quarantined',
};
const TIERS = [
  ['arena', 'Memory'],
  ['runtime', "Runtime's store"],
  ['disk', 'Disk'],
  ['peer', 'Peers'],
  ['origin', 'Origin'],
];

let allPeers = false;

export function showIdentity(status) {
  setText('node', status.node);
  setText('mode', status.mode);
  setText('version', `version ${status.version}`);
  setText('uptime', `up ${formatSpan(status.uptimeSeconds)}`);
  const state = byId('state');
  state.className = `badge ${status.ready ? 'good' : 'bad'}`;
  setText('state', status.ready ? 'ready' : `not ready: ${status.notReady.join(', ')}`);
  document.title = `${status.node} – Shoal`;
}

export function showTotals({ bytes, sent, rates }) {
  const tile = (name, total, rate) => {
    setBytes(`tile-${name}`, total);
    setText(`rate-${name}`, `${formatRate(rate)} now`);
  };
  tile('origin', bytes.origin, rates.origin);
  tile('peer', bytes.peer, rates.peer);
  tile('cache', bytes.cache, rates.cache);
  tile('client', sent.client, rates.client);
  tile('upload', sent.peer, rates.upload);
}

export function showPulls({ inFlight, queues }) {
  const items = inFlight.map((entry) => {
    const { blob, source, totalBytes, clients, nodes } = entry;
    const doneBytes = clients > 0 ? entry.sentBytes : entry.receivedBytes;
    const share = totalBytes === null || totalBytes === 0 ? 0 : doneBytes / totalBytes;
    const amount =
      totalBytes === null
        ? formatBytes(doneBytes)
        : `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
    return html(
      'li',
      {},
      html(
        'div',
        { class: 'row' },
        html('span', { class: 'mono', title: blob }, shortBlob(blob)),
        html(
          'span',
          { class: 'sub' },
          `${amount}${totalBytes === null ? '' : ` (${formatPercent(share)})`}, ` +
            `${SOURCE_NAMES[source]}, ${readers(clients, nodes)}`,
        ),
      ),
      bar([[source === 'memory' ? 'arena' : source, share]], {
        role: 'progressbar',
        'aria-label': `Blob ${shortBlob(blob)}`,
        'aria-valuemin': 0,
        'aria-valuemax': 100,
        'aria-valuenow': totalBytes === null ? undefined : Math.floor(share * 100),
      }),
    );
  });
  const waiting = Object.entries(queues).filter(([, length]) => length > 0);
  if (items.length === 0) items.push(html('li', { class: 'quiet' }, 'Nothing is being pulled.'));
  if (waiting.length > 0)
    items.push(
      html(
        'li',
        { class: 'sub' },
        `Waiting: ${waiting.map(([queue, length]) => `${queue} ${length}`).join(', ')}`,
      ),
    );
  byId('pulls').replaceChildren(...items);
}

function readers(clients, nodes) {
  const count = (number, name) => `${number} ${name}${number === 1 ? '' : 's'}`;
  const named = [
    ...(clients > 0 ? [count(clients, 'client')] : []),
    ...(nodes > 0 ? [count(nodes, 'node')] : []),
  ];
  return named.length === 0 ? 'no reader now' : `for ${named.join(' and ')}`;
}

/** The pulls of /status/pulls, newest first. */
export function showPullLog(pulls) {
  const items = pulls.slice(0, PULLS_SHOWN).map((pull) => {
    const parts = (values, show) =>
      Object.entries(values)
        .filter(([, value]) => value > 0)
        .sort(([, a], [, b]) => b - a)
        .map(([name, value]) => `${name} ${show(value)}`)
        .join(', ');
    const sources = parts(pull.sources, (bytes) => formatPercent(bytes / pull.bytes));
    const waits = parts(pull.waitedMs, (ms) => `${(ms / 1000).toFixed(2)} s`);
    const slowest =
      pull.slowestPeer === null
        ? ''
        : `; slowest peer ${pull.slowestPeer.node}, ${formatRate(pull.slowestPeer.bytesPerSecond)}`;
    return html(
      'li',
      {},
      html(
        'div',
        { class: 'row' },
        html('span', { class: 'mono', title: pull.digest ?? undefined }, pull.image),
        html(
          'span',
          { class: 'sub' },
          `${formatBytes(pull.bytes)} in ${pull.seconds.toFixed(2)} ` +
            `s${pull.running ? ' so far' : ''}`,
        ),
      ),
      html(
        'div',
        { class: 'sub' },
        `${sources || 'no bytes'}${waits === '' ? '' : `; waited for ${waits}`}${slowest}`,
      ),
      pull.errors.map(({ code, message, count }) =>
        html(
          'div',
          { class: 'sub' },
          html('span', { class: 'code' }, code),
          ` ${message} × ${count}`,
        ),
      ),
    );
  });
  byId('pull-log').replaceChildren(
    ...(items.length > 0 ? items : [html('li', { class: 'quiet' }, 'No pull yet.')]),
  );
}

export function showHits({ hitRatio, clientBytes }) {
  const seen = TIERS.some(([tier]) => hitRatio[tier] > 0);
  const legend = TIERS.map(([tier, name]) =>
    html(
      'span',
      {},
      html('i', { class: `key ${tier}` }),
      `${name} `,
      html('b', { title: `${clientBytes[tier]} bytes` }, formatPercent(hitRatio[tier])),
    ),
  );
  const parts = TIERS.filter(([tier]) => hitRatio[tier] > 0).map(([tier]) => [
    tier,
    hitRatio[tier],
  ]);
  byId('hits').replaceChildren(
    html('p', { class: 'legend' }, seen ? legend : 'No client has read anything yet.'),
    bar(parts, { class: 'bar thick', 'aria-hidden': 'true' }),
  );
}

export function showStores({ cache, runtimeStore, arena, trees }) {
  const store = (name, share, text, ink) =>
    html(
      'div',
      { class: 'store' },
      html('div', { class: 'row' }, html('span', {}, name), html('span', { class: 'sub' }, text)),
      bar([[ink, share]], {
        role: 'meter',
        'aria-label': name,
        'aria-valuemin': 0,
        'aria-valuemax': 100,
        'aria-valuenow': Math.round(Math.min(1, share) * 100),
      }),
    );
  const parts = [
    store(
      'Disk',
      cache.allocatedBytes === 0 ? 0 : cache.usedBytes / cache.allocatedBytes,
      `${formatBytes(cache.usedBytes)} of ${formatBytes(cache.allocatedBytes)}, ` +
        `${cache.entries} entries`,
      'disk',
    ),
    store(
      'Memory',
      arena.slots === 0 ? 0 : arena.used / arena.slots,
      `${arena.used} of ${arena.slots} slots of 2 MiB`,
      'arena',
    ),
    html('p', { class: 'sub store' }, runtimeText(runtimeStore)),
    html(
      'p',
      { class: 'sub store' },
      `Owner of ${trees.tracked} shards, deepest tree ${trees.depthMax} ` +
        `${trees.depthMax === 1 ? 'hop' : 'hops'}`,
    ),
  ];
  if (cache.suspended)
    parts.unshift(
      html('p', { class: 'notice' }, 'The disk cannot be used; the node serves from memory.'),
    );
  byId('stores').replaceChildren(...parts);
}

function runtimeText(store) {
  if (store === null) return "The container runtime's content store is not used.";
  if (store.state === 'unreadable') return `${store.dir} cannot be read; layers are cached.`;
  const dropped = store.dropsLayers ? '; the runtime drops layers, so they are cached' : '';
  return `Runtime's store: ${store.blobs} blobs, ${store.unverified} to be verified${dropped}`;
}

export function showPeers(status) {
  const { peers, peersByState } = status;
  const shown = allPeers ? peers : peers.slice(0, PEERS_SHOWN);
  const cell = (text, attributes = {}) => html('td', attributes, text);
  const rows = shown.map((peer) =>
    html(
      'tr',
      {},
      cell(peer.node, { class: 'mono' }),
      cell(peer.role),
      cell(peer.zone ?? '–'),
      cell(html('span', { class: `state ${peer.state}` }, STATES[peer.state])),
      cell(formatRate(peer.receivedBytesPerSecond), { class: 'num', 'data-label': 'receiving' }),
      cell(formatRate(peer.sentBytesPerSecond), { class: 'num', 'data-label': 'sending' }),
    ),
  );
  byId('peers').tBodies[0].replaceChildren(...rows);
  const frame = byId('peers').parentElement;
  frame.hidden = peers.length === 0;
  frame.classList.toggle('whole', !allPeers);
  const total = Object.values(peersByState).reduce((sum, count) => sum + count, 0);
  setText(
    'peer-counts',
    total === 0
      ? 'No other node is known.'
      : Object.entries(STATES)
          .filter(([state]) => state === 'up' || peersByState[state] > 0)
          .map(([state, name]) => `${peersByState[state]} ${name}`)
          .join(', '),
  );
  const more = byId('peers-more');
  more.hidden = peers.length <= PEERS_SHOWN;
  more.textContent = allPeers
    ? 'Show fewer'
    : `Show all ${peers.length}${total > peers.length ? ` of ${total}` : ''}`;
  more.onclick = () => {
    allPeers = !allPeers;
    showPeers(status);
  };
}

export function showErrors({ recentErrors }) {
  const items = recentErrors.map(({ atMs, code, message, count }) =>
    html(
      'li',
      {},
      html(
        'div',
        { class: 'row' },
        html('span', { class: 'code' }, code, count > 1 ? ` × ${count}` : ''),
        html(
          'time',
          { class: 'sub', datetime: new Date(atMs).toISOString() },
          `${formatSpan(Math.max(0, (Date.now() - atMs) / 1000))} ago`,
        ),
      ),
      html('div', { class: 'row' }, html('span', {}, message)),
    ),
  );
  byId('errors').replaceChildren(
    ...(items.length > 0 ? items : [html('li', { class: 'quiet' }, 'None.')]),
  );
}
