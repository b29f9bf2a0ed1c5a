import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { ENDPOINT_SLICES, KubeError } from '../../lib/cluster/kubernetes/client.ts';
import {
  FEED_HOLD_MS,
  FEED_SKIP_MS,
  FEED_STALE_MS,
  KUBE_BACKOFF_MS_MAX,
  MEMBERSHIP_BATCH_MS,
} from '../../lib/cluster/limits.ts';
import { FEED_WATCHERS } from '../../lib/swarm/limits.ts';
import { FakeKube } from '../kube/fake-kube.ts';
import { turns } from '../kube/turns.ts';
import { describeLiveMembership } from './conformance.ts';
import { endpointSlice } from './endpoint-slice.ts';
import { FedSwarm } from './fed-swarm.ts';

const NODES = 60;
const addresses = (count: number, from = 1): string[] =>
  Array.from({ length: count }, (_, at) => `10.0.0.${from + at}`);
const nameOf = (address: string): string => `${address}:65002`;

async function put(kube: FakeKube, service: string, nodes: string[]): Promise<void> {
  const object = endpointSlice(service, nodes);
  await kube.create(ENDPOINT_SLICES, object).catch(() => kube.replace(ENDPOINT_SLICES, object));
}

describeLiveMembership('kubernetes, of a node that is alone', async () => {
  const clock = new ManualClock();
  const kube = new FakeKube();
  await put(kube, 'shoal', ['10.0.0.1', '10.0.0.2']);
  await put(kube, 'shoal-root', ['10.0.0.9']);
  return {
    membership: new FedSwarm(kube, clock).add('10.0.0.9:65002', { isRoot: true }).membership,
    change: async ({ agents, roots }) => {
      await put(kube, 'shoal', agents);
      await put(kube, 'shoal-root', roots);
      await turns();
      clock.advance(MEMBERSHIP_BATCH_MS);
      await turns();
    },
    fail: async (failing) => {
      kube.refuse = (call) => {
        if (failing && /^(list|watch)/.test(call)) throw new KubeError(0, 'Unreachable', 'gone');
      };
      kube.endWatches(failing ? new KubeError(0, 'Unreachable', 'reset') : undefined);
      for (let pass = 0; pass < 5; pass++) {
        clock.advance(KUBE_BACKOFF_MS_MAX);
        await turns();
      }
    },
  };
});

describe('the list of members, handed on', () => {
  let clock: ManualClock;
  let kube: FakeKube;
  let swarm: FedSwarm;

  beforeEach(() => {
    clock = new ManualClock();
    kube = new FakeKube();
    swarm = new FedSwarm(kube, clock);
  });
  afterEach(() => swarm.stop());

  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += MEMBERSHIP_BATCH_MS) {
      clock.advance(Math.min(MEMBERSHIP_BATCH_MS, ms - passed));
      await turns(10);
    }
  };
  /** The swarm of `agents` and `roots`, in a steady state. */
  const started = async (agents: string[], roots: string[] = []): Promise<void> => {
    await put(kube, 'shoal', agents);
    await put(kube, 'shoal-root', roots);
    for (const root of roots) await swarm.start(nameOf(root), { isRoot: true });
    for (const agent of agents) await swarm.start(nameOf(agent));
    await pass(5_000);
  };
  const agentsSeen = (): number[] => [
    ...new Set([...swarm.nodes.values()].map(({ views }) => views.at(-1)?.agents.length ?? 0)),
  ];

  it('is watched by a few agents where there are no roots', async () => {
    await started(addresses(NODES));
    assert.equal(swarm.watching.length, FEED_WATCHERS);
    assert.deepEqual(agentsSeen(), [NODES]);
  });

  it('is watched by the roots alone where there are any', async () => {
    await started(addresses(NODES), ['10.0.1.1', '10.0.1.2']);
    assert.deepEqual(swarm.watching, ['10.0.1.1:65002', '10.0.1.2:65002']);
    assert.deepEqual(agentsSeen(), [NODES]);
  });

  it('reaches all nodes after a change, as a difference; the API sends three slices', async () => {
    await started(addresses(NODES));
    [swarm.apiBytes, swarm.feedBytes] = [0, 0];
    await put(kube, 'shoal', addresses(NODES - 1));
    await pass(MEMBERSHIP_BATCH_MS);
    assert.deepEqual(agentsSeen(), [NODES - 1]);
    const sliceBytes = JSON.stringify(endpointSlice('shoal', addresses(NODES))).length;
    assert.ok(swarm.apiBytes < FEED_WATCHERS * sliceBytes * 1.2, `${swarm.apiBytes} bytes`);
    assert.ok(swarm.feedBytes / NODES < 600, `${swarm.feedBytes / NODES} bytes a node`);
  });

  it('costs nothing but one short answer in FEED_HOLD_MS while it does not change', async () => {
    await started(addresses(NODES));
    await pass(FEED_HOLD_MS);
    [swarm.apiBytes, swarm.feedBytes] = [0, 0];
    const before = [...swarm.nodes.values()].map(({ events }) => events.length);
    await pass(4 * FEED_HOLD_MS);
    const asked = [...swarm.nodes.values()].map(({ events }, at) => events.length - before[at]!);
    assert.ok(Math.max(...asked) <= 5, `${Math.max(...asked)} answers`);
    assert.equal(swarm.apiBytes, 0);
  });

  it('bypasses a frozen node within its deadline', async () => {
    await started(addresses(NODES), ['10.0.1.1', '10.0.1.2']);
    swarm.frozen.add('10.0.1.1:65002');
    await put(kube, 'shoal', addresses(NODES - 1));
    await pass(2 * FEED_HOLD_MS);
    assert.deepEqual(agentsSeen(), [NODES - 1]);
    assert.equal(swarm.watching.length, 2, 'nobody else watches');
  });

  it('is watched by a node that gets no answer from others, until it gets one', async () => {
    await started(addresses(20), ['10.0.1.1']);
    swarm.frozen.add('10.0.1.1:65002');
    await pass(2 * FEED_SKIP_MS);
    assert.ok(swarm.watching.length > 1);
    assert.ok(swarm.watching.length <= 17, 'only the children of the frozen root watch');
    await put(kube, 'shoal', addresses(19));
    await pass(MEMBERSHIP_BATCH_MS);
    swarm.frozen.clear();
    await pass(2 * FEED_SKIP_MS);
    assert.deepEqual(swarm.watching, ['10.0.1.1:65002']);
    assert.deepEqual(agentsSeen(), [19]);
  });

  it('is kept by all nodes while the API is down', async () => {
    await started(addresses(20));
    kube.refuse = () => {
      throw new KubeError(0, 'Unreachable', 'down');
    };
    kube.endWatches(new KubeError(0, 'Unreachable', 'down'));
    await pass(3 * FEED_STALE_MS);
    assert.deepEqual(agentsSeen(), [20]);
    kube.refuse = () => {};
    await put(kube, 'shoal', addresses(19));
    await pass(3 * FEED_SKIP_MS);
    assert.deepEqual(agentsSeen(), [19]);
    assert.equal(swarm.watching.length, FEED_WATCHERS);
  });

  it('is believed again after etcd was restored to a lower version', async () => {
    await started(addresses(20));
    for (let more = 0; more < 5; more++) await put(kube, 'other', addresses(more));
    await put(kube, 'shoal', addresses(18));
    await pass(MEMBERSHIP_BATCH_MS);
    assert.deepEqual(agentsSeen(), [18]);
    kube.restore(10);
    kube.endWatches(new KubeError(410, 'Expired', 'too old'));
    await put(kube, 'shoal', addresses(17));
    // The API ends watches, so a living one is heard of.
    for (let at = 0; at < 10; at++) {
      await pass(FEED_STALE_MS / 4);
      kube.endWatches();
    }
    await pass(FEED_SKIP_MS);
    assert.deepEqual(agentsSeen(), [17]);
    assert.equal(swarm.watching.length, FEED_WATCHERS);
  });

  it('is not taken from a node with another secret, or altered on the way', async () => {
    await put(kube, 'shoal', addresses(2));
    await put(kube, 'shoal-root', ['10.0.1.1']);
    await swarm.start('10.0.1.1:65002', { isRoot: true, secret: 2 });
    const stranger = await swarm.start('10.0.0.1:65002');
    assert.equal(stranger.membership.isWatching, true);
    assert.deepEqual(new Set(stranger.events), new Set(['silent', 'watching']));
    const sealed = await swarm.start('10.0.0.2:65002', { secret: 2 });
    assert.equal(sealed.membership.isWatching, false);
    await swarm.nodes.get('10.0.0.2:65002')!.membership.stop();
    // Not the last character, of which base64 may leave bits unused.
    swarm.tamper = (body) => body.replace(/.(?=.{8}"}$)/, (one) => (one === 'A' ? 'B' : 'A'));
    const altered = await swarm.start('10.0.0.2:65002', { secret: 2 });
    assert.equal(altered.membership.isWatching, true);
  });

  it('lets a node start whose root does not answer, by its own watch', async () => {
    await put(kube, 'shoal', addresses(3));
    await put(kube, 'shoal-root', ['10.0.1.1']);
    const node = await swarm.start('10.0.0.1:65002');
    assert.equal(node.views.at(-1)?.agents.length, 3);
    assert.equal(node.membership.isWatching, true);
  });
});
