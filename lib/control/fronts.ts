import { MessageChannel, Worker } from 'node:worker_threads';
import { ShoalError } from '../errors.ts';
import { FRONT_START_TIMEOUT_MS } from './limits.ts';
import { Channel } from '../workers/channel.ts';
import type { ControlMessage, FrontMessage, FrontStart } from '../workers/messages.ts';
import { THREAD_OPTIONS } from '../workers/thread-options.ts';
import type { FrontDesk } from './control.ts';
import type { FrontReads } from './threads/front-reads.ts';
import { restrainHeaps } from '../heap.ts';

/** One front thread and control's link to it. */
export interface Front {
  send(message: ControlMessage, transfer?: ArrayBuffer): void;
  /**
   * Lets answers in flight finish within `deadlineMs`, then ends the thread. Resolves when it has
   * ended.
   */
  drain(deadlineMs: number): Promise<void>;
}

/**
 * Starts a front thread; resolves once it listens. `desk` makes control's end of it, which is
 * closed with the thread. `died` is called when a thread that listened has ended unasked; its ports
 * are free by then. Throws PORT_IN_USE, or INTERNAL when the thread fails to start in time.
 */
export function startFront(
  start: FrontStart,
  frontReads: Pick<FrontReads, 'join'>,
  desk: (send: Front['send']) => FrontDesk,
  died: (error: ShoalError) => void,
): Promise<Front> {
  const { port1, port2 } = new MessageChannel();
  const reads = new MessageChannel();
  const worker = new Worker(new URL('../front/main.ts', import.meta.url), {
    name: 'front',
    workerData: { start, port: port2, reads: reads.port2 },
    transferList: [port2, reads.port2],
    ...THREAD_OPTIONS,
  });
  return new Promise((resolve, reject) => {
    let phase: 'starting' | 'listening' | 'draining' = 'starting';
    let cause: ShoalError | null = null;
    const timer = setTimeout(() => {
      const message = `a front thread did not start within ${FRONT_START_TIMEOUT_MS} ms`;
      cause = new ShoalError('INTERNAL', message);
      void worker.terminate();
    }, FRONT_START_TIMEOUT_MS);
    worker.once('error', (error) => {
      cause ??= new ShoalError('INTERNAL', `a front thread failed: ${error.message}`, {
        cause: error,
      });
    });
    // The port closes after its last message. That may be delivered after the thread's exit.
    const exited = new Promise<void>((end) => worker.once('exit', () => end()));
    const closed = new Promise<void>((end) => port1.once('close', () => end()));
    const ended = Promise.all([exited, closed]).then(() => undefined);
    let leave = (): void => reads.port1.close();
    void ended.then(() => {
      clearTimeout(timer);
      leave();
      receiver.close();
      const error = cause ?? new ShoalError('INTERNAL', 'a front thread ended');
      if (phase === 'starting') reject(error);
      else if (phase === 'listening') died(error);
    });
    const front: Front = {
      send: (message, transfer) => channel.send(message, transfer),
      drain(deadlineMs) {
        phase = 'draining';
        channel.send({ kind: 'drain', deadlineMs });
        return ended;
      },
    };
    const receiver = desk(front.send);
    const channel = new Channel<ControlMessage, FrontMessage>(port1, (message) => {
      if (message.kind === 'listening') {
        clearTimeout(timer);
        restrainHeaps();
        phase = 'listening';
        leave = frontReads.join(worker, reads.port1);
        resolve(front);
      } else if (message.kind === 'failed') {
        cause = ShoalError.fromWire(message.error);
        channel.close();
      } else if (message.kind === 'drained') channel.close();
      else receiver.receive(message);
    });
  });
}
