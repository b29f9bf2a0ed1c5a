import type { MessagePort } from 'node:worker_threads';
import { Channel } from './channel.ts';

/**
 * A job on its way to a thread of a pool, and what came of it, in parts where it has some; `thrown`
 * only of a fault of ours, for jobs do not fail by throwing. First of all a thread says that it
 * serves.
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

/** What a pool's thread is started on: jobs come through `port` until it closes. */
export interface LineStart {
  port: MessagePort;
}

/** Bytes of a result that are to be moved, not copied, to control. */
export class Moved {
  readonly result: unknown;
  readonly bytes: ArrayBuffer;

  constructor(result: unknown, bytes: ArrayBuffer) {
    this.result = result;
    this.bytes = bytes;
  }
}

/**
 * Carries out the jobs that come through a line, as many at once as come; resolves when the line is
 * closed. Jobs and results of one turn of the event loop travel as one message, so that a busy
 * thread is woken once per turn and not once per job. `tell` sends ahead what a job has to say
 * before it is done.
 */
export function serveLine<Job>(
  { port }: LineStart,
  run: (job: Job, tell: (part: unknown) => void) => unknown,
): Promise<void> {
  const channel = new Channel<LineResult, LineJob<Job>>(
    port,
    ({ id, job }) => void carryOut(id, job),
  );
  const carryOut = async (id: number, job: Job): Promise<void> => {
    try {
      const result = await run(job, (part) => channel.send({ id, part }));
      if (result instanceof Moved) channel.send({ id, result: result.result }, result.bytes);
      else channel.send({ id, result });
    } catch (thrown) {
      channel.send({ id, thrown: String(thrown) });
    }
  };
  channel.send({ serves: true });
  return new Promise((resolve) => port.once('close', resolve));
}
