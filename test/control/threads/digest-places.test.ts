import assert from 'node:assert/strict';
import { DigestPlaces } from '../../../lib/control/threads/digest-places.ts';
import { ThreadLost } from '../../../lib/control/threads/lines.ts';
import { DIGEST_MOVE_BYTES_MAX } from '../../../lib/control/limits.ts';
import type { DigestJob } from '../../../lib/workers/blob-hashes.ts';
import { KEY } from '../fixture.ts';

const update = (offsetBytes: number): DigestJob => ({
  ...{ kind: 'update', key: KEY, offsetBytes },
  shards: [],
});
const finish: DigestJob = { kind: 'finish', key: KEY, totalBytes: 1 };

describe('control/digest-places', () => {
  let ran: string[];
  let transfer: { isBusy: boolean; threads: number };
  let digest: { threads: number };
  let places: DigestPlaces;
  /** What the next job of the transfer thread throws. */
  let thrown: Error | null;

  beforeEach(() => {
    ran = [];
    thrown = null;
    transfer = { isBusy: false, threads: 1 };
    digest = { threads: 0 };
    places = new DigestPlaces(
      Object.assign(transfer, {
        async runOnFirst(job: unknown) {
          if (thrown !== null) throw thrown;
          ran.push(`transfer ${(job as { digest: DigestJob }).digest.kind}`);
          return { kind: 'hashed', count: 1 };
        },
      }),
      Object.assign(digest, {
        async run(job: DigestJob) {
          digest.threads = 1;
          ran.push(`digest ${job.kind}`);
          return { kind: 'hashed', count: 1 };
        },
      }),
    );
  });

  it('hashes on the transfer thread while that is not busy, and starts no other', async () => {
    await places.run(update(0));
    await places.run(update(1));
    await places.run(finish);
    assert.deepEqual(ran, ['transfer update', 'transfer update', 'transfer finish']);
    assert.equal(digest.threads, 0);
  });

  it('leaves a busy transfer thread early, with the blob begun again', async () => {
    await places.run(update(0));
    transfer.isBusy = true;
    assert.deepEqual(await places.run(update(DIGEST_MOVE_BYTES_MAX)), { kind: 'gone' });
    await places.run(update(0));
    transfer.isBusy = false;
    await places.run(update(1));
    await places.run(finish);
    const moved = ['transfer update', 'transfer forget'];
    assert.deepEqual(ran, [...moved, 'digest update', 'digest update', 'digest finish']);
  });

  it('does not hash much of a blob twice', async () => {
    await places.run(update(0));
    transfer.isBusy = true;
    await places.run(update(DIGEST_MOVE_BYTES_MAX + 1));
    assert.deepEqual(ran, ['transfer update', 'transfer update']);
  });

  it('uses the digest thread where it runs, or where transfers need several threads', async () => {
    transfer.threads = 2;
    await places.run(update(0));
    transfer.threads = 1;
    await places.run({ ...update(0), key: 'another' });
    assert.deepEqual(ran, ['digest update', 'digest update']);
  });

  it('begins again what was on a thread that ended, and throws a fault of ours', async () => {
    await places.run(update(0));
    thrown = new ThreadLost(new Error('exit'));
    assert.deepEqual(await places.run(update(1)), { kind: 'gone' });
    thrown = new Error('a fault');
    await assert.rejects(places.run(update(1)), /a fault/);
  });
});
