import { byId, setText } from './elements.js';
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
import { TreePicture } from './tree-picture.js';

const POLL_MS = 2000;
/** Upper bound of the back-off while the node does not answer. */
const POLL_MS_MAX = 15000;

const chart = new HistoryChart();
const tree = new TreePicture();
let failures = 0;
let timer = 0;

function show(status) {
  showIdentity(status);
  showTotals(status);
  showPulls(status);
  showHits(status);
  showStores(status);
  showPeers(status);
  showErrors(status);
  chart.show(status.history, status.rates);
}

async function poll() {
  clearTimeout(timer);
  try {
    const response = await fetch('/status', { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const status = await response.json();
    show(status);
    await tree.offer(status);
    const pulls = await fetch('/status/pulls', { signal: AbortSignal.timeout(5000) });
    if (pulls.ok) showPullLog((await pulls.json()).pulls);
    else setText('pull-log', 'Shown on this machine only: open the page at 127.0.0.1.');
    failures = 0;
    byId('notice').hidden = true;
    setText('fresh', `Read at ${new Date().toLocaleTimeString()}`);
  } catch (error) {
    failures += 1;
    const state = byId('state');
    state.className = 'badge bad';
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
