import assert from 'node:assert/strict';
import { systemClock } from '../../../lib/clock.ts';
import { ENDPOINT_SLICES, type KubeObject } from '../../../lib/cluster/kubernetes/client.ts';
import { MEMBERSHIP_BATCH_US_PER_MEMBER } from '../../../lib/cluster/limits.ts';
import { FEED_WATCHERS } from '../../../lib/swarm/limits.ts';
import { ApiServer } from '../../kube/api-server.ts';
import { kubeAssets } from '../../kube/assets.ts';
import { eventually } from '../../kube/eventually.ts';
import { isLong, itIfLong } from '../../long.ts';
import { endpointSlice } from '../endpoint-slice.ts';
import { FedSwarm } from '../fed-swarm.ts';

/** In CI a sample: with 1,000 the file takes minutes on a busy machine. */
const AGENTS = isLong ? 1_000 : 200;
const PER_SLICE = 100;
/** Each is in a slice of its own. */
const CHANGES = AGENTS / PER_SLICE;
/** A change reaches everybody by then: the source's pause, and the test's one busy thread. */
const SEEN_MS = 90_000;

const addressOf = (at: number): string => `10.0.${Math.floor(at / 200)}.${(at % 200) + 1}`;

describe(`${AGENTS} agents before a real API server`, function () {
  this.timeout(180_000);
  let api: ApiServer;
  let swarm: FedSwarm;

  before(async function () {
    const [etcd = '', apiServer = ''] = kubeAssets.needs(this, 'etcd', 'kube-apiserver');
    api = await ApiServer.start(etcd, apiServer);
    await api.namespace('shoal');
    swarm = new FedSwarm(api.client, systemClock);
  });
  after(async () => {
    await swarm?.stop();
    await api?.stop();
  });

  /** Slice `number`, the endpoint `unready` of which is not ready. */
  const slice = (number: number, unready = -1): KubeObject => {
    const nodes = Array.from({ length: PER_SLICE }, (_, at) => addressOf(number * PER_SLICE + at));
    const object = endpointSlice('shoal', []);
    object.metadata.name = `shoal-${number}`;
    object.endpoints = nodes.map((address, at) => ({
      addresses: [address],
      conditions: { ready: at !== unready },
      nodeName: `node-${number}-${at}.region.example`,
      zone: 'region-a',
    }));
    return object;
  };
  const counts = (): Set<number> =>
    new Set([...swarm.nodes.values()].map(({ views }) => views.at(-1)?.agents.length ?? 0));

  it('read some slices each at the start; three of them watch', async () => {
    for (let number = 0; number * PER_SLICE < AGENTS; number++)
      await api.client.create(ENDPOINT_SLICES, slice(number));
    for (let from = 0; from < AGENTS; from += 50)
      await Promise.all(
        Array.from({ length: 50 }, (_, at) => swarm.start(`${addressOf(from + at)}:65002`)),
      );
    await eventually('few watch', () => swarm.watching.length === FEED_WATCHERS, SEEN_MS);
    assert.deepEqual([...counts()], [AGENTS]);
    const startBytes = swarm.apiBytes / AGENTS;
    console.log(
      `      ${Math.round(startBytes)} bytes from the API server for the start of one agent`,
    );
    assert.ok(startBytes < 100_000, `${startBytes} bytes`);
  });

  it('cost the API server one slice for each of three watchers at a change', async () => {
    [swarm.apiBytes, swarm.feedBytes] = [0, 0];
    const before = api.cpuMs;
    for (let change = 0; change < CHANGES; change++)
      await api.client.replace(ENDPOINT_SLICES, slice(change % (AGENTS / PER_SLICE), change));
    const { tookMs } = await eventually(
      'everybody knows',
      () => counts().size === 1 && counts().has(AGENTS - CHANGES),
      SEEN_MS,
    );
    const sliceBytes = JSON.stringify(slice(0)).length;
    const perChange = swarm.apiBytes / CHANGES;
    console.log(
      `      a change: ${Math.round(perChange)} bytes from the API server ` +
        `(${AGENTS} watchers: ${AGENTS * sliceBytes}), ` +
        `${((api.cpuMs - before) / CHANGES).toFixed(1)} ms of its processor, ` +
        `${Math.round(swarm.feedBytes / AGENTS / CHANGES)} bytes to each agent from another; ` +
        `${CHANGES} changes known everywhere after ${Math.round(tookMs)} ms ` +
        `(batches of ${(AGENTS * MEMBERSHIP_BATCH_US_PER_MEMBER) / 1_000} ms)`,
    );
    assert.ok(perChange < 2 * FEED_WATCHERS * sliceBytes, `${perChange} bytes`);
    assert.equal(swarm.watching.length, FEED_WATCHERS);
  });
  itIfLong('would cost it one slice for each agent, if each watched', async () => {
    await swarm.stop();
    const scope = { resource: ENDPOINT_SLICES, namespace: 'shoal' };
    const { resourceVersion } = await api.client.list(scope);
    const stop = new AbortController();
    let [bytes, seen] = [0, 0];
    const watches = Array.from({ length: AGENTS }, () =>
      api.client.watch(
        scope,
        resourceVersion,
        (event) => {
          if (event.type === 'BOOKMARK') return;
          bytes += JSON.stringify(event).length;
          seen++;
        },
        stop.signal,
      ),
    );
    const change = async (number: number): Promise<void> => {
      seen = 0;
      await api.client.replace(ENDPOINT_SLICES, slice(0, number));
      await eventually('all watchers have seen it', () => seen === AGENTS, SEEN_MS);
    };
    // Connects all of them.
    await change(CHANGES);
    bytes = 0;
    const before = api.cpuMs;
    for (let number = 0; number < CHANGES; number++) await change(number);
    console.log(
      `      a change: ${Math.round(bytes / CHANGES)} bytes from the API server, ` +
        `${((api.cpuMs - before) / CHANGES).toFixed(1)} ms of its processor`,
    );
    stop.abort();
    await Promise.all(watches);
    assert.ok(bytes / CHANGES > AGENTS * JSON.stringify(slice(0)).length);
  });
});
