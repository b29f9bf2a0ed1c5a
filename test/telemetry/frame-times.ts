import type { Browser } from './browser.ts';

interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  ts: number;
  dur?: number;
  tdur?: number;
  args?: { name?: string };
}

/**
 * Times between the animation frames of a page, in ms, while `busy` opens it and works with it:
 * from the first frame in which `isShown`, a JavaScript expression, holds. Nothing is traced
 * meanwhile, as that takes a page as long as painting.
 */
export async function frameTimes(
  browser: Browser,
  isShown: string,
  busy: () => Promise<unknown>,
): Promise<number[]> {
  const { identifier } = await browser.send('Page.addScriptToEvaluateOnNewDocument', {
    source: `(() => {
    const seen = (window.frameMs = []);
    let beforeMs;
    const frame = (atMs) => {
      if (beforeMs !== undefined) seen.push(atMs - beforeMs);
      if (beforeMs !== undefined || ${isShown}) beforeMs = atMs;
      window.nextFrame = requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  })()`,
  });
  await busy();
  await browser.send('Page.removeScriptToEvaluateOnNewDocument', { identifier });
  return browser.evaluate<number[]>(`(cancelAnimationFrame(window.nextFrame), window.frameMs)`);
}

/**
 * Processor time of each task of a page's main thread, in ms, while `busy` opens it and works with
 * it. A frame is one or two tasks.
 */
export async function taskTimes(browser: Browser, busy: () => Promise<unknown>): Promise<number[]> {
  const events: TraceEvent[] = [];
  const stop = browser.on('Tracing.dataCollected', ({ value }) =>
    events.push(...(value as TraceEvent[])),
  );
  await browser.send('Tracing.start', {
    traceConfig: { includedCategories: ['toplevel', 'devtools.timeline', '__metadata'] },
  });
  await busy();
  const complete = browser.once('Tracing.tracingComplete');
  await browser.send('Tracing.end');
  await complete;
  stop();
  // Chromium keeps a renderer in reserve, which is idle: the page's is the busiest.
  return events
    .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
    .map((main) =>
      events
        .filter(
          ({ ph, pid, tid, name }) =>
            ph === 'X' && pid === main.pid && tid === main.tid && name.endsWith('RunTask'),
        )
        .map(({ tdur = 0 }) => tdur / 1_000),
    )
    .reduce((busiest, other) => (sum(other) > sum(busiest) ? other : busiest), []);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
