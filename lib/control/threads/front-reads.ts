import type { MessagePort, Worker } from 'node:worker_threads';
import type { LineJob, LineResult } from '../../workers/line.ts';
import type { PeerReadJob } from '../../workers/peer/read.ts';
import { Channel } from '../../workers/channel.ts';
import type { PoolTasks } from '../../workers/pool.ts';
import { POOL_TASKS_PER_THREAD } from '../../limits.ts';
import { FRONT_BUSY_SHARE } from '../limits.ts';
import { ThreadLost } from './lines.ts';
import { PoolLoad } from './load.ts';

type PreadResult = PoolTasks['peer'][1];

interface Reading {
  resolve(result: PreadResult): void;
  reject(error: Error): void;
}

interface Reader {
  worker: Pick<Worker, 'cpuUsage'>;
  channel: Channel<LineJob<PeerReadJob>, LineResult>;
  underWay: Map<number, Reading>;
}

/**
 * Reads from other nodes that the front threads carry out themselves: what a front sends on has
 * then not been handed over by another thread, which wakes two threads for each piece. Fronts that
 * get a large share of a processor leave reads to the transfer threads.
 */
export class FrontReads {
  readonly #readers: Reader[] = [];
  readonly #load = new PoolLoad(() => this.#readers.map(({ worker }) => worker), FRONT_BUSY_SHARE);
  #nextId = 0;

  /** Whether a front may take a read now. Call it with every read. */
  get hasRoom(): boolean {
    const isBusy = this.#load.isBusy;
    return !isBusy && this.#readers.some(({ underWay }) => underWay.size < POOL_TASKS_PER_THREAD);
  }

  /** A front serves reads from `port`; the returned function ends that, and what is under way. */
  join(worker: Reader['worker'], port: MessagePort): () => void {
    const reader: Reader = {
      worker,
      underWay: new Map(),
      channel: new Channel<LineJob<PeerReadJob>, LineResult>(port, (result) =>
        settle(reader, result),
      ),
    };
    this.#readers.push(reader);
    return () => {
      this.#readers.splice(this.#readers.indexOf(reader), 1);
      reader.channel.drain();
      reader.channel.close();
      for (const { reject } of reader.underWay.values())
        reject(new ThreadLost(new Error('a front thread ended')));
    };
  }

  /** Carries out a read on the front with the fewest. Rejects with ThreadLost if that ends. */
  run(job: PeerReadJob): Promise<PreadResult> {
    const reader = this.#readers.reduce((best, other) =>
      other.underWay.size < best.underWay.size ? other : best,
    );
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      reader.underWay.set(id, { resolve, reject });
      reader.channel.send({ id, job });
    });
  }
}

function settle({ underWay }: Reader, settled: LineResult): void {
  if ('serves' in settled || 'part' in settled) return;
  const reading = underWay.get(settled.id);
  underWay.delete(settled.id);
  if ('thrown' in settled) reading?.reject(new Error(settled.thrown));
  else reading?.resolve(settled.result as PreadResult);
}
