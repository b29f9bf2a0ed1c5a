// What the swarm's status says, in words.

import { formatPercent, formatSpan } from './format.js';

export const NODE_STATES = ['failing', 'silent', 'slow', 'pulling', 'ready', 'unheard'];

/** `has it`: of an image that is chosen; see progressOf. */
export const STATE_WORDS = {
  failing: 'failing',
  silent: 'silent',
  slow: 'slow',
  pulling: 'pulling',
  ready: 'ready',
  unheard: 'not heard yet',
};

/** The share of the chosen image (null: of the latest) that a node has; null: nothing is known. */
export function progressOf(node, image) {
  if (image === null) return node.progress;
  const own = node.images.find((one) => one.image === image);
  return own === undefined ? 0 : own.share;
}

export function progressText(node, image = null) {
  const share = progressOf(node, image);
  return share === null ? '–' : share === 1 ? 'has it' : formatPercent(share);
}

export function medianText(node, medianRate) {
  if (node.summary === null || medianRate === 0 || node.summary.rates.client === 0) return '–';
  return `${Math.round((node.summary.rates.client / medianRate) * 100)} %`;
}

export function cacheShare({ summary }) {
  if (summary === null || summary.cache.capacityBytes === 0) return null;
  return summary.cache.usedBytes / summary.cache.capacityBytes;
}

export function seenText(node, atMs) {
  return node.lastSeenMs === null
    ? 'never'
    : `${formatSpan(Math.max(0, (atMs - node.lastSeenMs) / 1000))} ago`;
}

/** Moves the focus in a set of elements of which one at a time is in the tab order. */
export function arrowKeys(host, move) {
  host.addEventListener('keydown', (event) => {
    const all = [...host.querySelectorAll('button')];
    const at = all.indexOf(document.activeElement);
    const row = all.filter((one) => at >= 0 && one.offsetTop === all[at].offsetTop).length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row };
    const to =
      event.key === 'Home' ? 0 : event.key === 'End' ? all.length - 1 : at + steps[event.key];
    if (at < 0 || all[to] === undefined) return;
    event.preventDefault();
    for (const one of all) one.tabIndex = -1;
    all[to].tabIndex = 0;
    all[to].focus();
    move?.(all[to]);
  });
}
