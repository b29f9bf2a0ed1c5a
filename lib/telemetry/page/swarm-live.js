import { byId, setText } from './elements.js';
import { inFrames } from './frames.js';
import { HistoryChart } from './history-chart.js';
import { notice, poll } from './poll.js';
import { showImages } from './swarm-images.js';
import { NodeTable } from './swarm-table.js';
import { NodeTiles, showSaved } from './swarm-tiles.js';
import { ShardLevels } from './swarm-tree.js';

const chart = new HistoryChart();
const tiles = new NodeTiles();
const table = new NodeTable();
const levels = new ShardLevels();

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
  inFrames(show, panels(status));
}

/** A panel a frame: no other fits beside it. */
function* panels(status) {
  showSaved(status);
  chart.show(status.history, status.rates);
  yield Infinity;
  table.show(status);
  yield Infinity;
  showImages(status);
  yield Infinity;
  tiles.show(status);
}

poll('/swarm/status', async (status) => {
  if (status.head === null)
    notice('No node that keeps the summaries of the swarm answers; trying again.');
  show(status);
  await levels.show(status);
});
