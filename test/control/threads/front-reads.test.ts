import assert from 'node:assert/strict';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { FrontReads } from '../../../lib/control/threads/front-reads.ts';
import { ThreadLost } from '../../../lib/control/threads/lines.ts';
import { FRONT_BUSY_SHARE, THREAD_LOOK_MS } from '../../../lib/control/limits.ts';
import { POOL_TASKS_PER_THREAD } from '../../../lib/limits.ts';
import { serveLine } from '../../../lib/workers/line.ts';
import type { PeerReadJob } from '../../../lib/workers/peer/read.ts';
import type { PreadResult } from '../../../lib/wire/pread.ts';
import { readJob } from '../../workers/peer/peer-server.ts';
import { until } from '../../telemetry/until.ts';

const MISS: PreadResult = { kind: 'miss' };
const job = readJob({ host: '127.0.0.1', port: 1 });

/** A front, as far as it reads: its processor time is what the test says. */
class SampleFront {
  usedMs = 0;
  readonly leave: () => void;
  readonly #port: MessagePort;

  constructor(reads: FrontReads, run: (job: PeerReadJob) => unknown) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port2;
    void serveLine<PeerReadJob>({ port: port2 }, run);
    this.leave = reads.join(this as never, port1);
  }

  async cpuUsage(): Promise<{ user: number; system: number }> {
    return { user: this.usedMs * 1_000, system: 0 };
  }

  close(): void {
    this.#port.close();
  }
}

describe('control/front-reads', () => {
  let reads: FrontReads;
  let fronts: SampleFront[];
  const held: (() => void)[] = [];
  const hold = (): Promise<PreadResult> => new Promise((resolve) => held.push(() => resolve(MISS)));

  beforeEach(() => {
    reads = new FrontReads();
    fronts = [];
    held.length = 0;
  });
  afterEach(() => {
    for (const front of fronts) front.close();
  });

  function front(run: (job: PeerReadJob) => unknown): SampleFront {
    const made = new SampleFront(reads, run);
    fronts.push(made);
    return made;
  }

  it('has no room without a front, and reads with one', async () => {
    assert.equal(reads.hasRoom, false);
    front(() => MISS);
    assert.equal(reads.hasRoom, true);
    assert.deepEqual(await reads.run(job), MISS);
  });

  it('reads on the front with the fewest under way, so many at most on each', async () => {
    const counts = [0, 0];
    front(() => (counts[0]!++, hold()));
    front(() => (counts[1]!++, hold()));
    const all = Array.from({ length: 2 * POOL_TASKS_PER_THREAD }, () => {
      assert.equal(reads.hasRoom, true);
      return reads.run(job);
    });
    assert.equal(reads.hasRoom, false);
    await until(() => held.length === all.length, 'all reads');
    assert.deepEqual(counts, [POOL_TASKS_PER_THREAD, POOL_TASKS_PER_THREAD]);
    for (const release of held) release();
    await Promise.all(all);
    assert.equal(reads.hasRoom, true);
  });

  it('leaves reads to others while the front is busy', async () => {
    const made = front(() => MISS);
    await until(() => {
      made.usedMs += THREAD_LOOK_MS * FRONT_BUSY_SHARE;
      return !reads.hasRoom;
    }, 'a busy front');
    await until(() => reads.hasRoom, 'an idle front');
  });

  it('says of a front that ended that its reads are lost, and of a fault what it was', async () => {
    const made = front(hold);
    const lost = reads.run(job);
    made.leave();
    await assert.rejects(lost, ThreadLost);
    assert.equal(reads.hasRoom, false);
    front(() => {
      throw new Error('a fault of ours');
    });
    await assert.rejects(reads.run(job), /a fault of ours/);
  });
});
