import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { DnsMembership, systemResolve } from '../../lib/cluster/dns.ts';
import { KubernetesMembership } from '../../lib/cluster/kubernetes/discovery.ts';
import { ENDPOINT_SLICES, KubeError } from '../../lib/cluster/kubernetes/client.ts';
import { endpointView, rootService } from '../../lib/cluster/kubernetes/endpoints.ts';
import {
  membershipView,
  memberAddress,
  type MembershipView,
} from '../../lib/cluster/membership.ts';
import { StaticMembership } from '../../lib/cluster/static.ts';
import {
  DNS_REFRESH_MS,
  KUBE_BACKOFF_MS_MAX,
  MEMBERSHIP_BATCH_MS,
  MEMBERSHIP_START_TIMEOUT_MS,
} from '../../lib/cluster/limits.ts';
import { KUBE_RESYNC_MS } from '../../lib/limits.ts';
import { FakeKube } from '../kube/fake-kube.ts';
import { endpointSlice } from './endpoint-slice.ts';
import { describeLiveMembership, describeMembership } from './conformance.ts';
import { turns } from '../kube/turns.ts';

const first = { agents: ['10.0.0.1', '10.0.0.2'], roots: ['10.0.0.9'] };
const withPort = (addresses: string[]): string[] => addresses.map((address) => `${address}:65002`);

describeMembership('static', async () => ({
  membership: new StaticMembership(
    withPort(['10.0.0.2', '10.0.0.1', '10.0.0.2', '10.0.0.9']),
    withPort(first.roots),
  ),
}));

describeLiveMembership('dns', async () => {
  const clock = new ManualClock();
  let [view, failing] = [first, false];
  const resolve = async (host: string): Promise<string[]> => {
    if (failing) throw Object.assign(new Error('SERVFAIL'), { code: 'EAI_AGAIN' });
    return host === 'shoal.ns.svc' ? view.agents : host === 'shoal-root.ns.svc' ? view.roots : [];
  };
  const pass = async (): Promise<void> => {
    clock.advance(DNS_REFRESH_MS);
    await turns();
  };
  return {
    membership: new DnsMembership({ service: 'shoal.ns.svc', port: 65_002, resolve, clock }),
    change: async (next) => {
      view = next;
      await pass();
    },
    fail: async (now) => {
      failing = now;
      await pass();
    },
  };
});

describeLiveMembership('kubernetes', async () => {
  const clock = new ManualClock();
  const kube = new FakeKube();
  const put = async ({ agents, roots }: { agents: string[]; roots: string[] }): Promise<void> => {
    for (const object of [
      endpointSlice('shoal', agents),
      endpointSlice('shoal-root', roots),
      endpointSlice('other', ['10.9.9.9']),
    ]) {
      await kube.create(ENDPOINT_SLICES, object).catch(() => kube.replace(ENDPOINT_SLICES, object));
    }
    await turns();
  };
  await put(first);
  return {
    membership: new KubernetesMembership({
      client: kube,
      namespace: 'shoal',
      service: 'shoal',
      clock,
      random: () => 0.5,
    }),
    change: async (next) => {
      await put(next);
      clock.advance(MEMBERSHIP_BATCH_MS);
      await turns();
    },
    fail: async (failing) => {
      kube.refuse = (call) => {
        if (failing && /^(list|watch)/.test(call))
          throw new KubeError(0, 'Unreachable', 'no connection');
      };
      kube.endWatches(failing ? new KubeError(0, 'Unreachable', 'reset') : undefined);
      for (let pass = 0; pass < 5; pass++) {
        clock.advance(KUBE_BACKOFF_MS_MAX);
        await turns();
      }
    },
  };
});

describe('membership by EndpointSlices', () => {
  const start = async (
    kube: FakeKube,
    clock = new ManualClock(),
  ): Promise<{
    views: MembershipView[];
    errors: KubeError[];
    membership: KubernetesMembership;
    clock: ManualClock;
  }> => {
    const [views, errors]: [MembershipView[], KubeError[]] = [[], []];
    const membership = new KubernetesMembership({
      client: kube,
      namespace: 'shoal',
      service: 'shoal',
      clock,
      random: () => 0,
      onError: (error) => errors.push(error),
    });
    const started = membership.start((view) => views.push(view));
    await turns();
    clock.advance(MEMBERSHIP_START_TIMEOUT_MS);
    await started;
    await turns();
    return { views, errors, membership, clock };
  };

  it('reports the first change at once, and a rollout of many nodes in batches', async () => {
    const kube = new FakeKube();
    const put = async (last: number): Promise<void> => {
      const slice = endpointSlice('shoal', ['10.0.0.1', `10.0.1.${last}`]);
      await kube.create(ENDPOINT_SLICES, slice).catch(() => kube.replace(ENDPOINT_SLICES, slice));
      await turns();
    };
    await put(0);
    const { views, membership, clock } = await start(kube);
    clock.advance(MEMBERSHIP_BATCH_MS);
    for (let at = 1; at <= 60; at++) {
      await put(at);
      if (at === 1) assert.equal(views.length, 2, 'the first change is reported at once');
      clock.advance(100);
    }
    const seconds = (60 * 100) / 1_000;
    assert.ok(views.length <= 2 + (seconds * 1_000) / MEMBERSHIP_BATCH_MS + 1, `${views.length}`);
    clock.advance(MEMBERSHIP_BATCH_MS);
    assert.ok(views.at(-1)!.agents.some(({ node }) => node === '10.0.1.60:65002'));
    await membership.stop();
  });

  it('lists ready endpoints with their zones, by the port named p2p', () => {
    const endpoints = [
      { addresses: ['10.0.0.1'], conditions: { ready: true }, zone: 'a', nodeName: 'n1' },
      { addresses: ['10.0.0.2'], conditions: { ready: false } },
      { addresses: ['10.0.0.3'], conditions: {} },
      { addresses: ['10.0.0.4'], conditions: { ready: true, terminating: true } },
      { addresses: [] },
      { addresses: ['fd00::5'], zone: '' },
    ];
    const { agents } = endpointView([endpointSlice('shoal', [], { endpoints })], 'shoal');
    assert.deepEqual(agents, [
      { node: '10.0.0.1:65002', zone: 'a' },
      { node: '10.0.0.3:65002', zone: null },
      { node: '[fd00::5]:65002', zone: null },
    ]);
  });

  it('merges the slices of a service and ignores invalid ones', () => {
    const more = { metadata: { name: 'more', labels: { 'kubernetes.io/service-name': 'shoal' } } };
    const strange = [
      endpointSlice('shoal', ['10.0.0.8'], { ports: null }),
      endpointSlice('shoal', [], { endpoints: null }),
      { metadata: { name: 'bare' } },
    ];
    const { agents } = endpointView(
      [
        endpointSlice('shoal', ['10.0.0.1']),
        endpointSlice('shoal', ['10.0.0.2'], { ...more, ports: [{ port: 7, name: '' }] }),
        ...strange,
      ],
      'shoal',
    );
    assert.deepEqual(
      agents.map(({ node }) => node),
      ['10.0.0.1:65002', '10.0.0.2:7'],
    );
  });

  it('finds the roots by their service', () => {
    assert.equal(rootService('shoal'), 'shoal-root');
    assert.equal(rootService('shoal.ns.svc.cluster.local'), 'shoal-root.ns.svc.cluster.local');
  });

  it('starts without a view while the API server is down and reports it later', async () => {
    const kube = new FakeKube();
    await kube.create(ENDPOINT_SLICES, endpointSlice('shoal', ['10.0.0.1']));
    kube.refuse = () => {
      throw new KubeError(0, 'Unreachable', 'refused');
    };
    const { views, errors, membership, clock } = await start(kube);
    assert.equal(views.length, 0);
    assert.ok(errors.length > 0);
    kube.refuse = () => {};
    clock.advance(KUBE_BACKOFF_MS_MAX);
    await turns();
    assert.equal(views.length, 1);
    await membership.stop();
  });

  it('lists again after status 410 and notices removed objects', async () => {
    const kube = new FakeKube();
    await kube.create(ENDPOINT_SLICES, endpointSlice('shoal', ['10.0.0.1']));
    const { views, membership, clock } = await start(kube);
    clock.advance(1_000);
    kube.endWatches(new KubeError(0, 'Unreachable', 'reset'));
    await kube.remove(ENDPOINT_SLICES, 'shoal', 'shoal-abc');
    kube.forgetHistory();
    for (let pass = 0; pass < 3; pass++) {
      await turns();
      clock.advance(KUBE_BACKOFF_MS_MAX);
    }
    await turns();
    assert.deepEqual(views.at(-1), { agents: [], roots: [] });
    assert.equal(kube.watchers, 1);
    await membership.stop();
    assert.equal(kube.watchers, 0);
  });

  it('starts over when versions run backward (etcd restored from a backup)', async () => {
    const kube = new FakeKube();
    await kube.create(ENDPOINT_SLICES, endpointSlice('shoal', ['10.0.0.1']));
    await kube.create(ENDPOINT_SLICES, endpointSlice('shoal-root', ['10.0.0.9']));
    const { views, membership, clock } = await start(kube);
    kube.objects.delete('/apis/discovery.k8s.io/v1/namespaces/shoal/endpointslices/shoal-root-abc');
    kube.restore(7);
    await kube.replace(ENDPOINT_SLICES, endpointSlice('shoal', ['10.0.0.2']));
    clock.advance(KUBE_RESYNC_MS);
    kube.endWatches();
    await turns();
    assert.deepEqual(views.at(-1), { agents: [{ node: '10.0.0.2:65002', zone: null }], roots: [] });
    await kube.replace(ENDPOINT_SLICES, endpointSlice('shoal', ['10.0.0.3']));
    await turns();
    clock.advance(MEMBERSHIP_BATCH_MS);
    assert.deepEqual(views.at(-1)?.agents, [{ node: '10.0.0.3:65002', zone: null }]);
    await membership.stop();
  });

  it('pauses between watches that the server ends at once', async () => {
    const kube = new FakeKube();
    const { membership } = await start(kube);
    for (let pass = 0; pass < 50; pass++) {
      kube.endWatches();
      await turns();
    }
    assert.ok(kube.reads.length < 10, `${kube.reads.length} requests`);
    await membership.stop();
  });

  it('lists again after the resync period', async () => {
    const kube = new FakeKube();
    const { membership, clock } = await start(kube);
    const lists = (): number => kube.reads.filter((call) => call.startsWith('list')).length;
    clock.advance(1_000);
    kube.endWatches();
    await turns();
    assert.equal(lists(), 1, 'a watch goes on from where it stood');
    clock.advance(KUBE_RESYNC_MS);
    kube.endWatches();
    await turns();
    assert.equal(lists(), 2);
    await membership.stop();
  });
});

describe('membership by DNS', () => {
  it('keeps the last view when the name does not exist any more', async () => {
    const clock = new ManualClock();
    let addresses = ['10.0.0.1'];
    const [views, errors]: [MembershipView[], Error[]] = [[], []];
    const resolve = async (host: string): Promise<string[]> => (host === 's' ? addresses : []);
    const membership = new DnsMembership({
      service: 's',
      port: 1,
      resolve,
      clock,
      onError: (error) => errors.push(error),
    });
    await membership.start((view) => views.push(view));
    addresses = [];
    clock.advance(DNS_REFRESH_MS);
    await turns();
    assert.deepEqual([views.length, errors.length], [1, 1]);
    await membership.stop();
    clock.advance(DNS_REFRESH_MS * 10);
    await turns();
    assert.equal(errors.length, 1, 'nothing is resolved once stopped');
  });

  it('starts without a view when the resolver hangs', async () => {
    const clock = new ManualClock();
    const membership = new DnsMembership({
      service: 's',
      port: 1,
      resolve: () => new Promise(() => {}),
      clock,
    });
    const started = membership.start(() => assert.fail('no view'));
    clock.advance(MEMBERSHIP_START_TIMEOUT_MS);
    await started;
    await membership.stop();
  });

  it('prefers IPv4, returns none for an unknown name, and passes other errors on', async () => {
    const both = systemResolve(async () => [
      { address: 'fd00::1', family: 6 },
      { address: '10.0.0.1', family: 4 },
    ]);
    assert.deepEqual(await both('x'), ['10.0.0.1']);
    assert.deepEqual(await systemResolve(async () => [{ address: 'fd00::1', family: 6 }])('x'), [
      'fd00::1',
    ]);
    const failing = (code: string) =>
      systemResolve(() => Promise.reject(Object.assign(new Error(code), { code })));
    assert.deepEqual(await failing('ENOTFOUND')('x'), []);
    await assert.rejects(failing('EAI_AGAIN')('x'), { code: 'EAI_AGAIN' });
  });
});

describe('membership views', () => {
  it('are sorted, without duplicates, and keep known zones', () => {
    const view = membershipView(
      [
        { node: 'b:1', zone: null },
        { node: 'a:1', zone: 'z' },
        { node: 'b:1', zone: 'y' },
        { node: 'a:1', zone: null },
      ],
      [],
    );
    assert.deepEqual(view.agents, [
      { node: 'a:1', zone: 'z' },
      { node: 'b:1', zone: 'y' },
    ]);
  });
  it('put IPv6 addresses in brackets', () =>
    assert.deepEqual(
      [memberAddress('fd00::1', 5), memberAddress('10.0.0.1', 5)],
      ['[fd00::1]:5', '10.0.0.1:5'],
    ));
});
