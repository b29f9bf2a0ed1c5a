import { byId, setText } from './elements.js';

const POLL_MS = 2000;
/** Upper bound of the back-off while the node does not answer. */
const POLL_MS_MAX = 15000;
/** How long an answer may take. */
const ANSWER_MS = 5000;

export function read(path) {
  return fetch(path, { signal: AbortSignal.timeout(ANSWER_MS) });
}

/** Reads `path` again and again while the page is visible; `show` gets what it says. */
export function poll(path, show) {
  let failures = 0;
  let timer = 0;
  async function once() {
    clearTimeout(timer);
    try {
      const response = await read(path);
      if (!response.ok) throw new Error(`status ${response.status}`);
      byId('notice').hidden = true;
      await show(await response.json());
      failures = 0;
      setText('fresh', `Read at ${new Date().toLocaleTimeString()}`);
    } catch (error) {
      failures += 1;
      byId('state').className = 'badge bad';
      setText('state', 'no answer');
      notice(
        `The node does not answer (${error.message}). Trying again; the numbers below are ` +
          'from before.',
      );
    }
    if (!document.hidden) timer = setTimeout(once, Math.min(POLL_MS_MAX, POLL_MS * 2 ** failures));
  }
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) once();
  });
  once();
}

export function notice(text) {
  setText('notice', text);
  byId('notice').hidden = false;
}
