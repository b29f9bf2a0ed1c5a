import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { KubeError, LEASES } from '../../lib/cluster/kubernetes/client.ts';
import {
  LEASE_DURATION_MS,
  LEASE_RENEW_DEADLINE_MS,
  LEASE_RETRY_MS,
} from '../../lib/webhook/limits.ts';
import { LeaderElection, mayHold, type Lease } from '../../lib/webhook/lease.ts';
import { FakeKube } from '../kube/fake-kube.ts';
import { turns } from '../kube/turns.ts';

describe('leader election', () => {
  let kube: FakeKube;
  let clock: ManualClock;
  let running: LeaderElection[];
  const events: string[] = [];

  beforeEach(() => {
    [kube, clock, running] = [new FakeKube(), new ManualClock(), []];
    events.length = 0;
  });
  afterEach(async () => await Promise.all(running.map((election) => election.stop())));

  const candidate = async (identity: string, client = kube): Promise<LeaderElection> => {
    const onChange = (leads: boolean): void =>
      void events.push(`${identity} ${leads ? 'leads' : 'follows'}`);
    const election = new LeaderElection({
      client,
      clock,
      namespace: 'shoal',
      name: 'l',
      identity,
      onChange,
      onError: () => {},
    });
    running.push(election);
    election.start();
    await turns();
    return election;
  };
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= LEASE_RETRY_MS) {
      clock.advance(Math.min(left, LEASE_RETRY_MS));
      await turns(5);
    }
  };
  /** The API as a process reaches it whose network may be cut. */
  const behind = (identity: string, cut: Set<string>): FakeKube =>
    new Proxy(kube, {
      get: (target, key) => {
        const value = Reflect.get(target, key) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) =>
          cut.has(identity)
            ? Promise.reject(new KubeError(0, 'Unreachable', 'cut'))
            : (value as (...all: unknown[]) => unknown).apply(target, args);
      },
    });
  const lease = async (): Promise<Lease> => (await kube.get<Lease>(LEASES, 'shoal', 'l'))!;

  it('elects one leader, which stays', async () => {
    const [a, b] = [await candidate('a'), await candidate('b')];
    await pass(LEASE_DURATION_MS * 5);
    assert.deepEqual([a.leads, b.leads], [true, false]);
    assert.deepEqual(events, ['a leads']);
    const { spec } = await lease();
    assert.equal(spec?.holderIdentity, 'a');
    assert.match(spec.renewTime!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  });

  it('hands over at once when the leader stops', async () => {
    const [a, b] = [await candidate('a'), await candidate('b')];
    await a.stop();
    await pass(LEASE_RETRY_MS);
    assert.deepEqual([a.leads, b.leads], [false, true]);
    assert.equal((await lease()).spec?.leaseTransitions, 2);
  });

  it('is taken over after the lease duration, not before', async () => {
    const cut = new Set<string>();
    const a = await candidate('a', behind('a', cut));
    const b = await candidate('b');
    await pass(LEASE_RETRY_MS);
    cut.add('a');
    await pass(LEASE_RENEW_DEADLINE_MS + LEASE_RETRY_MS);
    assert.deepEqual(
      [a.leads, b.leads],
      [false, false],
      'the old one steps down before another may lead',
    );
    await a.stop();
    await pass(LEASE_DURATION_MS);
    assert.equal(b.leads, true);
    assert.deepEqual(events, ['a leads', 'a follows', 'b leads']);
  });

  it('never has two leaders under any network partition', async () => {
    const names = ['a', 'b', 'c'];
    const cut = new Set<string>();
    for (const name of names) await candidate(name, behind(name, cut));
    let seed = 7;
    let handovers = 0;
    let before = '';
    for (let step = 0; step < 300; step++) {
      seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff;
      const name = names[(seed >> 12) % 3]!;
      if ((seed >> 16) % 2 === 0) cut.add(name);
      else cut.delete(name);
      await pass(LEASE_RETRY_MS * ((seed >> 20) % 5));
      const leaders = running.filter(({ leads }) => leads);
      assert.ok(leaders.length <= 1, `step ${step}`);
      const leader = leaders[0] === undefined ? before : names[running.indexOf(leaders[0])]!;
      if (leader !== before) handovers++;
      before = leader;
    }
    assert.ok(handovers > 3, `${handovers} handovers`);
  });

  it('steps down in time while a request hangs', async () => {
    const a = await candidate('a');
    kube.get = () => new Promise(() => {});
    clock.advance(LEASE_RETRY_MS);
    await turns();
    clock.advance(LEASE_RENEW_DEADLINE_MS);
    assert.equal(a.leads, false);
    running.length = 0;
  });

  it('measures the lease by its own clock only', () => {
    const held = {
      lease: {
        metadata: { name: 'l' },
        spec: {
          holderIdentity: 'x',
          leaseDurationSeconds: 10,
          renewTime: '1999-01-01T00:00:00.000000Z',
        },
      },
      seenMs: 1_000,
    };
    assert.equal(mayHold(held, 'me', 10_999), false);
    assert.equal(mayHold(held, 'me', 11_000), true);
    assert.equal(mayHold(held, 'x', 1_000), true);
    assert.equal(mayHold({ lease: { metadata: { name: 'l' } }, seenMs: 0 }, 'me', 0), true);
  });
});
