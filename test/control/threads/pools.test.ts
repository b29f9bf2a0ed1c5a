import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Vouching } from '../../../lib/registry/vouching.ts';
import { systemClock } from '../../../lib/clock.ts';
import { FrontReads } from '../../../lib/control/threads/front-reads.ts';
import { startPools, type Pools } from '../../../lib/control/threads/pools.ts';
import { Arena } from '../../../lib/io/arena.ts';
import { Doorbells } from '../../../lib/io/doorbell.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import { MeterBoard } from '../../../lib/telemetry/meter-board.ts';
import { readJob } from '../../workers/peer/peer-server.ts';
import { KEY, OTHER_KEY } from '../fixture.ts';
import { CHECKSUM_BYTES } from '../../../lib/shard.ts';

describe('control/pools', () => {
  const arena = Arena.create(2 * SHARD_BYTES);
  let pools: Pools;
  const frontReads = new FrontReads();

  function start(): Pools {
    const meters = new MeterBoard().shared;
    return startPools(
      {
        arena: arena.shared,
        doorbells: Doorbells.create(1).shared,
        meters,
        origin: { registries: [], allow: [] },
        slabFd: null,
        directFd: null,
      },
      { arena: arena.shared, meters },
      new Vouching({ registries: [], allow: [] }),
      { startAll: false, frontReads, clock: systemClock, lost: () => undefined },
    );
  }

  before(async () => {
    for (const slot of [0, 1]) arena.tryLock(slot);
    pools = start();
    await pools.ready();
  });
  after(() => pools.close());

  it('follows two blobs at once on the digest thread, from shared memory', async () => {
    const [one, other] = [randomBytes(SHARD_BYTES), randomBytes(1_000)];
    arena.bytes(0).set(one);
    arena.bytes(1).set(other);
    const generations = [arena.begin(0), arena.begin(1)];
    const update = (key: string, slot: number, lengthBytes: number, offsetBytes = 0) =>
      pools.digest({
        kind: 'update',
        key,
        offsetBytes,
        shards: [{ slot, generation: generations[slot]!, lengthBytes }],
      });
    await Promise.all([
      update(KEY, 0, SHARD_BYTES),
      update(OTHER_KEY, 1, 1_000),
      update(KEY, 1, 1_000, SHARD_BYTES),
    ]);
    assert.deepEqual(
      await pools.digest({ kind: 'finish', key: KEY, totalBytes: SHARD_BYTES + 1_000 }),
      {
        kind: 'done',
        digest: createHash('sha256').update(one).update(other).digest('hex'),
      },
    );
    assert.deepEqual(await pools.digest({ kind: 'finish', key: OTHER_KEY, totalBytes: 1_000 }), {
      kind: 'done',
      digest: createHash('sha256').update(other).digest('hex'),
    });
    assert.deepEqual(
      await pools.digest({ kind: 'finish', key: KEY, totalBytes: SHARD_BYTES + 1_000 }),
      { kind: 'gone' },
    );
  });

  it('does not hash a slot that holds something else by now, and leaves no pin', async () => {
    const [here, gone] = [
      { slot: 0, generation: arena.generation(0), lengthBytes: 10 },
      { slot: 1, generation: 9_999, lengthBytes: 10 },
    ];
    assert.deepEqual(
      await pools.digest({ kind: 'update', key: KEY, offsetBytes: 0, shards: [gone] }),
      {
        kind: 'hashed',
        count: 0,
      },
    );
    assert.deepEqual(await pools.digest({ kind: 'finish', key: KEY, totalBytes: 10 }), {
      kind: 'gone',
    });
    assert.deepEqual(
      await pools.digest({ kind: 'update', key: KEY, offsetBytes: 0, shards: [here, gone, here] }),
      {
        kind: 'hashed',
        count: 1,
      },
    );
    assert.deepEqual(await pools.digest({ kind: 'finish', key: KEY, totalBytes: 10 }), {
      kind: 'done',
      digest: createHash('sha256')
        .update(arena.bytes(0, 0, 10))
        .digest('hex'),
    });
    for (const slot of [0, 1]) {
      assert.equal(arena.tryLock(slot), true);
      arena.begin(slot);
    }
  });

  it('forgets a blob when told to', async () => {
    await pools.digest({
      kind: 'update',
      key: KEY,
      offsetBytes: 0,
      shards: [{ slot: 0, generation: arena.generation(0), lengthBytes: 10 }],
    });
    await pools.digest({ kind: 'forget', key: KEY });
    assert.deepEqual(await pools.digest({ kind: 'finish', key: KEY, totalBytes: 10 }), {
      kind: 'gone',
    });
  });

  it('answers "gone" when it has not hashed what came before, as after its restart', async () => {
    const shards = [{ slot: 0, generation: arena.generation(0), lengthBytes: 10 }];
    const update = (offsetBytes: number) =>
      pools.digest({ kind: 'update', key: KEY, offsetBytes, shards });
    assert.deepEqual(await update(10), { kind: 'gone' });
    assert.deepEqual(await update(0), { kind: 'hashed', count: 1 });
    assert.deepEqual(await update(20), { kind: 'gone' });
    assert.deepEqual(await pools.digest({ kind: 'finish', key: KEY, totalBytes: 20 }), {
      kind: 'gone',
    });
  });

  it('closes during a job without settling it', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const ending = start();
    await ending.ready();
    const { port } = silent.address() as AddressInfo;
    const asked = once(silent, 'connection');
    const job = ending.run(readJob({ host: '127.0.0.1', port }));
    const outcome = job.then(
      () => 'settled',
      () => 'rejected',
    );
    await asked;
    await ending.close();
    assert.equal(
      await Promise.race([outcome, new Promise((resolve) => setImmediate(resolve, 'unsettled'))]),
      'unsettled',
    );
    silent.close();
  });

  it('never rejects: what fails in a thread keeps its code', async () => {
    const disk = await pools.run({
      kind: 'diskRead',
      fileOffsetBytes: 0,
      lengthBytes: 10,
      slot: 0,
      checksum: null,
    });
    assert.ok(disk.kind === 'failed' && disk.error.code === 'DISK_FAILED');
    const folder = await pools.run({
      kind: 'fileRead',
      path: '/',
      offsetBytes: 0,
      lengthBytes: 10,
      slot: 0,
      checksum: new Uint8Array(CHECKSUM_BYTES),
    });
    assert.ok(folder.kind === 'failed' && folder.error.system === 'EISDIR');
    const target = {
      url: 'http://127.0.0.1:9/b',
      upstreamHost: '127.0.0.1:9',
      authorization: null,
    };
    const probe = await pools.run({ kind: 'probe', ...target });
    assert.ok(
      probe.kind === 'failed' && probe.error.code === 'HOST_NOT_ALLOWED',
      JSON.stringify(probe),
    );
    const peer = await pools.run({
      kind: 'peer',
      slot: 0,
      attempt: 1,
      shard: 0,
      fromBytes: 0,
      patience: { silenceMs: 2000, stallMs: 2000 },
      totalBytes: null,
      digest: null,
      node: '127.0.0.1:9',
      path: '/',
      headers: {},
    });
    assert.ok(
      peer.kind === 'failed' && peer.error.code === 'PEER_UNREACHABLE',
      JSON.stringify(peer),
    );
  });
});
