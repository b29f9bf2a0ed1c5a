import type { MessagePort, Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { LineStart } from '../../workers/line.ts';
import { THREAD_OPTIONS } from '../../workers/thread-options.ts';

/**
 * Starts a thread that runs `file` with `workerData` and serves the jobs that come through `port`
 * (lib/workers/line.ts) as one Piscina task, for its whole life; a task for each job would cost
 * twice the CPU time. The thread stays in its event loop between jobs, because it holds
 * connections. Its end is told by the worker's events alone. Throws when no thread can be made.
 */
export function startThread(file: URL, workerData: unknown, port: MessagePort): Worker {
  const pool = new Piscina<LineStart, void>({
    ...THREAD_OPTIONS,
    filename: file.href,
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    atomics: 'disabled',
    workerData,
  });
  const told = (): void => undefined;
  pool.on('error', told);
  pool.run({ port }, { transferList: [port] }).catch(told);
  const [worker] = pool.threads;
  if (worker === undefined) throw new Error(`no thread for ${file.href}`);
  worker.once('exit', () => void pool.destroy());
  return worker;
}
