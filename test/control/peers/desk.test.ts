import assert from 'node:assert/strict';
import { ChecksumDesk, PeerDesk, type PeerDeskParts } from '../../../lib/control/peers/desk.ts';
import { ShoalError } from '../../../lib/errors.ts';
import { PEER_HOLD_MS, SHARD_BYTES } from '../../../lib/limits.ts';
import { PEER_RETURN_MS } from '../../../lib/control/limits.ts';
import type { Swarm } from '../../../lib/swarm/swarm.ts';
import type { AskRequest, ShardFacts, Verdict } from '../../../lib/swarm/types.ts';
import type { PreadQuery } from '../../../lib/wire/pread.ts';
import type { StatAnswer, StatQuery } from '../../../lib/wire/stat.ts';
import type { ControlMessage } from '../../../lib/workers/messages.ts';
import {
  CHECKSUM,
  KEY,
  Listener,
  OPTIONS,
  loaderFixture,
  settled,
  type LoaderFixture,
} from '../fixture.ts';

const CHILD = '10.0.0.7:65002';
const ORIGIN = { url: 'https://r.example/b', upstreamHost: 'r.example', authorization: 'Bearer t' };

/** The core's answers as the test wants them, and what it was told. */
class FakeSwarm {
  verdict: Verdict = { kind: 'serve' };
  known: ShardFacts | undefined;
  readonly uploadsAtOnce = 1;
  readonly asked: AskRequest[] = [];
  readonly told: unknown[] = [];

  ask(request: AskRequest): Verdict {
    this.asked.push(request);
    return this.verdict;
  }

  factsOf(): ShardFacts | undefined {
    return this.known;
  }

  report(...said: unknown[]): void {
    this.told.push(['report', ...said]);
  }

  depthOf(): number | null {
    return this.verdict.kind === 'redirect' ? 2 : 1;
  }

  sent(...said: unknown[]): void {
    this.told.push(['sent', ...said]);
  }
}

describe('control/peer-desk', () => {
  let at: LoaderFixture;
  let swarm: FakeSwarm;
  let checksums: ChecksumDesk;
  let replies: ControlMessage[];
  let uploads: [string, number][];
  let depths: number[];
  let desk: PeerDesk;

  beforeEach(() => {
    at = loaderFixture({ disk: true });
    swarm = new FakeSwarm();
    const parts: PeerDeskParts = {
      swarm: swarm as unknown as Swarm,
      clock: at.clock,
      facts: at.facts,
      loader: at.loader,
      vouched: (_key, origin) => origin,
      asked: () => undefined,
      sent: (node, bytes) => uploads.push([node, bytes]),
      placed: (depth) => depths.push(depth),
    };
    checksums = new ChecksumDesk(parts);
    [replies, uploads, depths] = [[], [], []];
    desk = new PeerDesk(parts, (message) => replies.push(message));
  });

  const ask = ({ id = 1, ...more }: Partial<PreadQuery> & { id?: number } = {}): void =>
    desk.ask({
      kind: 'ask',
      id,
      query: {
        key: KEY,
        shard: 0,
        fromBytes: 0,
        node: CHILD,
        zone: 'a',
        role: 'owner',
        exclude: ['x:1'],
        hops: 1,
        load: 3,
        holdMs: 1000,
        ...more,
      },
      origin: ORIGIN,
      requestId: 'request-1',
    });
  const stat = (more: Partial<StatQuery> = {}): Promise<StatAnswer> =>
    checksums.stat({
      key: KEY,
      shard: 0,
      node: CHILD,
      zone: null,
      parent: 'p:1',
      report: 'done',
      ...more,
    });

  it('hands the whole request to the core, and what is held here', async () => {
    at.store.put(KEY, 0);
    ask();
    assert.deepEqual(swarm.asked, [
      {
        shard: { key: KEY, index: 0 },
        node: CHILD,
        zone: 'a',
        role: 'owner',
        exclude: ['x:1'],
        hops: 1,
        load: 3,
        held: true,
      },
    ]);
    ask({ shard: 1 });
    assert.equal(swarm.asked[1]!.held, false);
  });

  it('serves: fetches the shard for the child, from the origin that the child named', async () => {
    ask();
    await settled();
    const { resident, way } = at.fills[0]!;
    assert.deepEqual(way, {
      origin: ORIGIN,
      sliceBytes: 0,
      digest: KEY,
      requestId: 'request-1',
      onBehalf: swarm.asked[0],
    });
    assert.deepEqual(at.facts.origins(KEY), [ORIGIN]);
    assert.deepEqual(replies, [
      {
        kind: 'granted',
        id: 1,
        shard: 0,
        slot: resident.slot,
        generation: resident.generation,
        checksum: null,
        totalBytes: null,
        cold: true,
        uploadsAtOnce: 1,
        pathname: '/https://r.example/b',
      },
    ]);
  });

  it('tells the checksum with the place as soon as it is known', async () => {
    at.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    swarm.known = { totalBytes: 900, lengthBytes: 900, checksum: 'ee'.repeat(32) };
    ask();
    await at.deliver(0, 900);
    ask({ id: 3 });
    const checksums = replies.map((reply) =>
      reply.kind === 'granted' ? [reply.checksum, reply.cold] : [],
    );
    assert.deepEqual(checksums, [
      ['ee'.repeat(32), true],
      [CHECKSUM, false],
    ]);
  });

  it('passes on what the core says instead, and fetches nothing for it', () => {
    at.facts.sized(KEY, 900, 'upstream');
    swarm.verdict = { kind: 'redirect', parents: ['p:1'], checksum: null, totalBytes: null };
    ask();
    swarm.verdict = { kind: 'busy', retryMs: 50 };
    ask({ id: 2 });
    swarm.verdict = { kind: 'miss' };
    ask({ id: 3 });
    assert.deepEqual(replies, [
      {
        kind: 'peer',
        id: 1,
        answer: { kind: 'redirect', parents: ['p:1'], checksum: null, totalBytes: 900 },
      },
      { kind: 'peer', id: 2, answer: { kind: 'busy', retryMs: 50 } },
      { kind: 'peer', id: 3, answer: { kind: 'miss' } },
    ]);
    desk.close(1, false, 0);
    assert.deepEqual([at.fills.length, swarm.told.length], [0, 0]);
    assert.deepEqual(depths, [2], 'only a node that was given a place has a depth');
  });

  it('says why it cannot serve', async () => {
    ask();
    await settled();
    at.fills[0]!.failed(new ShoalError('ORIGIN_REFUSED', 'no', { status: 401 }));
    assert.deepEqual(replies.at(-1), {
      kind: 'refused',
      id: 1,
      error: { code: 'ORIGIN_REFUSED', message: 'no', status: 401 },
    });
  });

  it('tells the core once how an upload ended, and releases the shard a while later', async () => {
    for (const [id, whole] of [
      [1, true],
      [2, false],
    ] as const) {
      ask({ id, shard: id });
      await settled();
      desk.close(id, whole, 500);
      desk.close(id, whole, 500);
      assert.deepEqual(swarm.told.splice(0), [['sent', { key: KEY, index: id }, CHILD, whole]]);
      assert.deepEqual(uploads.splice(0), [[CHILD, 500]]);
    }
    assert.deepEqual(
      at.fills.map((fill) => fill.abandoned),
      [true, false],
    );
    at.clock.advance(PEER_RETURN_MS);
    assert.deepEqual(
      at.fills.map((fill) => fill.abandoned),
      [true, true],
    );
  });

  it('goes on with a shard for a child that was told "busy" and came back', async () => {
    ask();
    await settled();
    desk.close(1, false, 0);
    at.clock.advance(PEER_RETURN_MS - 1);
    ask({ id: 2 });
    at.clock.advance(PEER_RETURN_MS);
    assert.equal(at.fills.length, 1);
    assert.equal(at.fills[0]!.abandoned, false);
  });

  it("takes a report, and answers a stat from memory, disk or the core's memory", async () => {
    const of = (bytes: number, checksum: string): StatAnswer => ({
      kind: 'stat',
      totalBytes: bytes,
      lengthBytes: bytes,
      checksum: checksum,
    });
    swarm.known = { totalBytes: 1, lengthBytes: 1, checksum: 'ee'.repeat(32) };
    assert.deepEqual(await stat(), of(1, 'ee'.repeat(32)));
    assert.deepEqual(swarm.told, [['report', { key: KEY, index: 0 }, CHILD, 'p:1', 'done']]);
    at.store.put(KEY, 0, 800, 800);
    assert.deepEqual(await stat(), of(800, CHECKSUM));
    at.store.held.clear();
    at.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    await at.deliver(0, 900);
    assert.deepEqual(await stat(), of(900, CHECKSUM));
  });

  it('misses a shard that is neither here nor on its way', async () => {
    assert.deepEqual(await stat(), { kind: 'miss' });
  });

  it('holds a stat of a shard on its way until the shard is complete', async () => {
    at.loader.want(KEY, 1, OPTIONS, new Listener());
    await settled();
    const answers: StatAnswer[] = [];
    for (let child = 0; child < 2; child++)
      void stat({ shard: 1 }).then((answer) => answers.push(answer));
    at.clock.advance(PEER_HOLD_MS - 1);
    await settled();
    assert.equal(answers.length, 0);
    await at.deliver(1, SHARD_BYTES + 10);
    checksums.completed(at.loader.find(KEY, 1)!);
    await settled();
    const totalBytes = SHARD_BYTES + 10;
    const due = { kind: 'stat', totalBytes, lengthBytes: 10, checksum: CHECKSUM };
    assert.deepEqual(answers, [due, due]);
    at.clock.advance(PEER_HOLD_MS * 2);
  });

  it('answers "busy" after PEER_HOLD_MS', async () => {
    at.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    const answer = stat();
    at.clock.advance(PEER_HOLD_MS);
    assert.deepEqual(await answer, { kind: 'busy', retryMs: 1 });
    await at.deliver(0, 900);
    checksums.completed(at.loader.find(KEY, 0)!);
  });
});
