import type { MessagePort } from 'node:worker_threads';
import { Channel } from './channel.ts';

/**
 * A job for a thread of a pool. Its results come back in parts, if it has several. `thrown` reports
 * a fault in Shoal itself: a job that fails returns a result. The first message of a thread says
 * that it serves.
 */
export interface LineJob<Job> {
  id: number;
  job: Job;
}
export type LineResult =
  | { serves: true }
  | { id: number; part: unknown }
  | { id: number; result: unknown }
  | { id: number; thrown: string };

/** See serveLine. */
export type Tell = (part: unknown, now?: boolean) => void;

/** What a thread of a pool is started with. Jobs come through `port` until it closes. */
export interface LineStart {
  port: MessagePort;
}

/** A result whose `bytes` are transferred to control, not copied. */
export class Moved {
  readonly result: unknown;
  readonly bytes: ArrayBuffer;

  constructor(result: unknown, bytes: ArrayBuffer) {
    this.result = result;
    this.bytes = bytes;
  }
}

/**
 * Carries out the jobs that come through a line, as many at once as come. Jobs and results of one
 * turn of the event loop travel as one message, so that a busy thread is woken once per turn and
 * not once per job. `tell` sends ahead what a job has to say before it is done, and with `now`
 * without waiting for the end of the turn. Resolves when the line is closed.
 */
export function serveLine<Job>(
  { port }: LineStart,
  run: (job: Job, tell: Tell) => unknown,
): Promise<void> {
  const channel = new Channel<LineResult, LineJob<Job>>(
    port,
    ({ id, job }) => void carryOut(id, job),
  );
  const carryOut = async (id: number, job: Job): Promise<void> => {
    try {
      const result = await run(job, (part, now = false) =>
        now ? channel.sendNow({ id, part }) : channel.send({ id, part }),
      );
      if (result instanceof Moved) channel.send({ id, result: result.result }, result.bytes);
      else channel.send({ id, result });
    } catch (thrown) {
      channel.send({ id, thrown: String(thrown) });
    }
  };
  // At once: the first job may end the thread in this turn.
  channel.sendNow({ serves: true });
  return new Promise((resolve) => port.once('close', resolve));
}
