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

/** What a page costs while `busy` runs. */
export interface FrameTimes {
  /** Times between animation frames, in ms, as the page sees them. */
  frameMs: number[];
  /** Processor time of each task of the page's main thread, in ms; a frame is one or two. */
  taskCpuMs: number[];
}

/**
 * Records every animation frame and every task of the page's main thread. `busy` opens the page.
 */
export async function frameTimes(
  browser: Browser,
  busy: () => Promise<unknown>,
): Promise<FrameTimes> {
  const events: TraceEvent[] = [];
  const stop = browser.on('Tracing.dataCollected', ({ value }) =>
    events.push(...(value as TraceEvent[])),
  );
  await browser.send('Tracing.start', {
    traceConfig: { includedCategories: ['toplevel', 'devtools.timeline', '__metadata'] },
  });
  const { identifier } = await browser.send('Page.addScriptToEvaluateOnNewDocument', {
    source: `(() => {
    const seen = (window.frameMs = []);
    let beforeMs;
    const frame = (atMs) => {
      if (beforeMs !== undefined) seen.push(atMs - beforeMs);
      beforeMs = atMs;
      window.nextFrame = requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  })()`,
  });
  await busy();
  await browser.send('Page.removeScriptToEvaluateOnNewDocument', { identifier });
  const frameMs = await browser.evaluate<number[]>(
    `(cancelAnimationFrame(window.nextFrame), window.frameMs)`,
  );
  const complete = browser.once('Tracing.tracingComplete');
  await browser.send('Tracing.end');
  await complete;
  stop();
  // Chromium keeps a renderer in reserve, which is idle: the page's is the busiest.
  const taskCpuMs = events
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
  return { frameMs, taskCpuMs };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
