import { setText } from './elements.js';
import { HistoryChart } from './history-chart.js';
import {
  showErrors,
  showHits,
  showIdentity,
  showPeers,
  showPullLog,
  showPulls,
  showStores,
  showTotals,
} from './panels.js';
import { poll, read } from './poll.js';
import { TreePicture } from './tree-picture.js';

const chart = new HistoryChart();
const tree = new TreePicture();

poll('/status', async (status) => {
  showIdentity(status);
  showTotals(status);
  showPulls(status);
  showHits(status);
  showStores(status);
  showPeers(status);
  showErrors(status);
  chart.show(status.history, status.rates);
  await tree.offer(status);
  const pulls = await read('/status/pulls');
  if (pulls.ok) showPullLog((await pulls.json()).pulls);
  else setText('pull-log', 'Shown on this machine only: open the page at 127.0.0.1.');
});
