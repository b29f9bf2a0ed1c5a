import type { SwarmStatus } from '../telemetry/swarm-status.ts';
import { placeOf, readExporter, type NodeChoice } from './exporter-client.ts';
import type { Output } from './process-output.ts';
import { renderTop } from './top-screen.ts';

const POLL_MS = 2_000;
const CLEAR = '\x1b[H\x1b[J';
const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';

interface TopOptions extends NodeChoice {
  token: string | null;
  json: boolean;
  once: boolean;
}

/** `shoal top`: the swarm in a terminal. Returns 0; throws as readExporter. */
export async function runTop(
  { token, json, once, ...choice }: TopOptions,
  output: Output,
  terminal: NodeJS.WriteStream = process.stdout,
): Promise<number> {
  const place = await placeOf(choice);
  const read = (): Promise<SwarmStatus> =>
    readExporter(place, '/swarm/status', isSwarmStatus, token);
  if (json || once || !terminal.isTTY) {
    const status = await read();
    const columns = terminal.columns ?? 80;
    output.out(json ? `${JSON.stringify(status)}\n` : renderTop(status, columns, Infinity));
    return 0;
  }
  const stop = stopKey();
  output.out(HIDE_CURSOR);
  try {
    while (!stop.signal.aborted) {
      const status = await read();
      output.out(CLEAR + renderTop(status, terminal.columns, terminal.rows - 1).trimEnd());
      await pause(POLL_MS, stop.signal);
    }
  } finally {
    output.out(`${SHOW_CURSOR}\n`);
    stop.close();
  }
  return 0;
}

function isSwarmStatus(body: unknown): body is SwarmStatus {
  const { nodes, states, images } = (body ?? {}) as Partial<SwarmStatus>;
  return Array.isArray(nodes) && Array.isArray(images) && typeof states === 'object';
}

/** Aborts at Ctrl-C, q, or the end of the terminal. */
function stopKey(): { signal: AbortSignal; close(): void } {
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  const key = (bytes: Buffer): void => {
    if (['q', '\x03'].includes(bytes.toString())) stop();
  };
  const { stdin } = process;
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.on('data', key).on('close', stop);
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  return {
    signal: abort.signal,
    close() {
      if (stdin.isTTY) stdin.setRawMode(false);
      stdin.off('data', key).pause();
    },
  };
}

/** Resolves after `ms`, or when `signal` says stop. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
