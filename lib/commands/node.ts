import { writeSync } from 'node:fs';
import { loadConfig, registryFiles } from '../config/load.ts';
import { FileWatch } from '../config/file-watch.ts';
import type { Config, NodeMode } from '../config/schema.ts';
import { DRAIN_DEADLINE_MS, REQUEST_HEAD_BYTES_MAX } from '../limits.ts';
import { DRAIN_OVERTIME_MS } from './limits.ts';
import { exitAtOnce } from './exit-at-once.ts';
import type { Output } from './process-output.ts';
import type { RunningNode, StartNode } from '../node/running-node.ts';
import { stopSignal } from './stop-signal.ts';

export interface NodeOptions {
  check?: boolean;
  config?: string;
  set?: string[];
  frontThreads?: number;
  json?: boolean;
  exitWithParent?: boolean;
}

/**
 * Runs a node until it is told to stop. Prints one ready line once it serves; returns 0 after a
 * clean drain, 1 when the drain overran its deadline. Throws CONFIG_INVALID, and whatever keeps the
 * node from starting.
 */
export async function runNode(
  mode: NodeMode,
  options: NodeOptions,
  output: Output,
  start: StartNode = startLazily,
): Promise<number> {
  if (options.exitWithParent === true) exitWithParent();
  const read = (): Config => loadConfig({ file: options.config, sets: options.set ?? [], mode });
  const config = read();
  let reload = (): void => undefined;
  const stop = stopSignal(exitAtOnce, () => reload());
  process.once('uncaughtException', dieAtOnce);
  const starting = start(
    config,
    options.frontThreads === undefined ? {} : { frontThreads: options.frontThreads },
  );
  // A node told to stop before it serves has nothing to drain.
  const node = await Promise.race([starting, stop.then(() => null)]);
  if (node === null) exitAtOnce(0);
  const watch = new FileWatch(() => reload());
  const watchAll = (of: Config): void =>
    watch.watch([
      ...(options.config === undefined ? [] : [options.config]),
      ...registryFiles(of).map(({ file }) => file),
    ]);
  reload = () => void node.reload(read).then(watchAll);
  watchAll(config);
  output.out(readyLine(node.ready, options.json === true));
  await stop;
  watch.close();
  return (await drained(node)) ? 0 : exitAtOnce(1);
}

/**
 * Logs a programmer error and exits; the supervisor starts the node again. Memory that Node itself
 * cannot get, as for the code of a library, is no such error: it says which limit to raise. V8's
 * RangeError has no code, so its text decides.
 */
function dieAtOnce(error: Error): void {
  if (error instanceof RangeError && /out of memory|cannot allocate/i.test(error.message)) {
    writeSync(
      2,
      `shoal: cannot allocate memory: ${error.message}; lower CacheConfig.memory, or raise the ` +
        'memory limit of the process (ulimit -v) (LIMIT_TOO_LOW)\n',
    );
    exitAtOnce(1);
  }
  const line = {
    level: 'fatal',
    time: new Date().toISOString(),
    code: 'INTERNAL',
    msg: error.message,
    stack: error.stack,
  };
  writeSync(2, `${JSON.stringify(line)}\n`);
  exitAtOnce(1);
}

const startLazily: StartNode = async (config, options) => {
  // Read once, when uWebSockets.js is loaded.
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = String(REQUEST_HEAD_BYTES_MAX);
  const { startNode } = await import('../node.ts');
  return startNode(config, options);
};

/** The ready line (docs/SPEC.md 9), for people or for machines. */
function readyLine(ready: RunningNode['ready'], json: boolean): string {
  const { mode, proxy, p2p, exporter, pid } = ready;
  if (json) return `${JSON.stringify({ ready: true, mode, proxy, p2p, exporter, pid })}\n`;
  return `ready mode=${mode} proxy=${proxy} p2p=${p2p} exporter=${exporter ?? 'off'} pid=${pid}\n`;
}

async function drained(node: RunningNode): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const overrun = new Promise<false>((give) => {
    timer = setTimeout(() => give(false), DRAIN_DEADLINE_MS + DRAIN_OVERTIME_MS);
  });
  try {
    return await Promise.race([node.drain().then(() => true as const), overrun]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * A node started by `shoal up` never outlives it: the pipe on stdin closes with the parent, however
 * that ends.
 */
function exitWithParent(): void {
  process.stdin.on('error', () => exitAtOnce(1));
  process.stdin.on('close', () => exitAtOnce(1));
  process.stdin.resume();
}
