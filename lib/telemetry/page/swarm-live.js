import { byId, setText } from './elements.js';
import { formatBytes } from './format.js';
import { HistoryChart } from './history-chart.js';
import { showImages } from './swarm-images.js';
import { NodeTable } from './swarm-table.js';
import { NodeTiles, showSaved } from './swarm-tiles.js';
import { ShardLevels } from './swarm-tree.js';

const POLL_MS = 2000;
/** Upper bound of the back-off while the node does not answer. */
const POLL_MS_MAX = 15000;

const chart = new HistoryChart();
const tiles = new NodeTiles();
const table = new NodeTable();
const levels = new ShardLevels();
let failures = 0;
let timer = 0;

function show(status) {
  const { nodes, states, head, self } = status;
  setText('swarm-size', `${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'}`);
  setText(
    'swarm-from',
    head === null ? `as ${self} alone knows it` : `summaries kept by ${head}, shown by ${self}`,
  );
  const bad = states.failing + states.silent;
  const state = byId('state');
  state.className = `badge ${bad > 0 ? 'bad' : states.slow > 0 ? 'slow' : 'good'}`;
  setText(
    'state',
    bad > 0 ? `${bad} failing or silent` : states.slow > 0 ? `${states.slow} slow` : 'all well',
  );
  showSaved(status, { bytes: formatBytes });
  tiles.show(status);
  chart.show(status.history, status.rates);
  table.show(status);
  showImages(status);
}

async function poll() {
  clearTimeout(timer);
  try {
    const response = await fetch('/swarm/status', { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const status = await response.json();
    show(status);
    await levels.show(status);
    failures = 0;
    const notice = byId('notice');
    notice.hidden = status.head !== null;
    if (!notice.hidden)
      setText('notice', 'No node that keeps the summaries of the swarm answers; trying again.');
    setText('fresh', `Read at ${new Date().toLocaleTimeString()}`);
  } catch (error) {
    failures += 1;
    byId('state').className = 'badge bad';
    setText('state', 'no answer');
    setText(
      'notice',
      `The node does not answer (${error.message}). Trying again; the numbers below are ` +
        'from before.',
    );
    byId('notice').hidden = false;
  }
  // A hidden page does not poll.
  if (!document.hidden) timer = setTimeout(poll, Math.min(POLL_MS_MAX, POLL_MS * 2 ** failures));
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) poll();
});
poll();
