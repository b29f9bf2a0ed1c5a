import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../lib/clock.ts';
import { discover } from '../../../lib/cluster/discovery.ts';
import {
  ENDPOINT_SLICES,
  SECRETS,
  type KubeError,
  type KubeObject,
  type KubeWatchEvent,
} from '../../../lib/cluster/kubernetes/client.ts';
import { HttpKubeClient } from '../../../lib/cluster/kubernetes/http.ts';
import type { Membership, MembershipView } from '../../../lib/cluster/membership.ts';
import { configSchema } from '../../../lib/config/schema.ts';
import { nodeAccount } from './node-account.ts';
import { ApiServer } from '../../kube/api-server.ts';
import { kubeAssets } from '../../kube/assets.ts';
import { eventually } from '../../kube/eventually.ts';
import { describeLiveMembership } from '../conformance.ts';
import { endpointSlice } from '../endpoint-slice.ts';

/** An endpoint that comes or goes is to be seen within so long. */
const SEEN_MS = 1_000;

describe('discovery on a real API server', function () {
  let api: ApiServer;
  let accountDir: string;
  let env: NodeJS.ProcessEnv;

  before(async function () {
    const [etcd = '', apiServer = ''] = kubeAssets.needs(this, 'etcd', 'kube-apiserver');
    api = await ApiServer.start(etcd, apiServer);
    await api.namespace('shoal');
    accountDir = await mkdtemp(join(tmpdir(), 'shoal-account-'));
    env = await nodeAccount(api, accountDir);
  });
  after(async () => {
    await api?.stop();
    if (accountDir !== undefined) await rm(accountDir, { recursive: true });
  });

  const membershipIn = async (service: string): Promise<Membership> => {
    const { P2PConfig } = configSchema.parse({ P2PConfig: { discovery: 'kubernetes', service } });
    return await discover(P2PConfig, {
      clock: systemClock,
      random: Math.random,
      env,
      onError: () => {},
      feed: null,
    });
  };
  const put = async (object: KubeObject): Promise<void> => {
    await api.client
      .create(ENDPOINT_SLICES, object)
      .catch(() => api.client.replace(ENDPOINT_SLICES, object));
  };

  let suites = 0;
  describeLiveMembership('kubernetes, real', async () => {
    const service = `swarm-${++suites}`;
    let told: MembershipView = { agents: [], roots: [] };
    const real = await membershipIn(service);
    const membership: Membership = {
      start: (onChange) => real.start((view) => onChange((told = view))),
      stop: () => real.stop(),
    };
    let stopped = false;
    const stop = membership.stop;
    membership.stop = () => {
      stopped = true;
      return stop();
    };
    await put(endpointSlice(service, ['10.0.0.1', '10.0.0.2']));
    await put(endpointSlice(`${service}-root`, ['10.0.0.9']));
    return {
      membership,
      change: async ({ agents, roots }) => {
        await put(endpointSlice(service, agents));
        await put(endpointSlice(`${service}-root`, roots));
        const wanted = JSON.stringify([agents.filter((node) => !roots.includes(node)), roots]);
        const seen = (): string =>
          JSON.stringify(
            [told.agents, told.roots].map((list) =>
              list.map(({ node }) => node.replace(/:.*/, '')),
            ),
          );
        if (!stopped) await eventually('the change is seen', () => seen() === wanted, SEEN_MS);
      },
      fail: async (failing) => await (failing ? api.crash() : api.restart()),
    };
  });

  it('notices new and removed endpoints in a second, and keeps the view in an outage', async () => {
    await put(endpointSlice('shoal', ['10.1.0.1']));
    const membership = await membershipIn('shoal');
    const views: MembershipView[] = [];
    await membership.start((view) => views.push(view));
    const agents = (): number => views.at(-1)?.agents.length ?? 0;
    assert.equal(agents(), 1);
    await put(endpointSlice('shoal', ['10.1.0.1', '10.1.0.2']));
    const came = await eventually('it comes', () => agents() === 2, SEEN_MS);
    await put(endpointSlice('shoal', ['10.1.0.2']));
    const went = await eventually('it goes', () => agents() === 1, SEEN_MS);
    console.log(
      `      an endpoint was seen to come after ${came.tookMs.toFixed(0)} ms, to go ` +
        `after ${went.tookMs.toFixed(0)} ms`,
    );
    const told = views.length;
    await api.crash();
    await api.restart();
    assert.equal(views.length, told, 'an outage is no news');
    await put(endpointSlice('shoal', ['10.1.0.2', '10.1.0.3']));
    await eventually('it watches again', () => agents() === 2);
    await membership.stop();
  });

  it('reports errors of the API', async () => {
    const node = new HttpKubeClient(
      api.connection((await readFile(join(accountDir, 'token'), 'utf8')).trim()),
    );
    await assert.rejects(
      node.get(SECRETS, 'shoal', 'x'),
      (error: KubeError) => error.status === 403 && error.reason === 'Forbidden',
    );
    await assert.rejects(node.list({ resource: SECRETS, namespace: null }), { status: 403 });
    const object = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'a', namespace: 'shoal' },
    };
    const made = await api.client.create<KubeObject>(SECRETS, object);
    await assert.rejects(api.client.create(SECRETS, object), {
      status: 409,
      reason: 'AlreadyExists',
    });
    await api.client.replace(SECRETS, { ...made, data: { a: 'eA==' } });
    await assert.rejects(api.client.replace(SECRETS, { ...made, data: { a: 'eQ==' } }), {
      status: 409,
      reason: 'Conflict',
    });
    await assert.rejects(api.client.remove(SECRETS, 'shoal', 'a', 'another-uid'), { status: 409 });
    await api.client.remove(SECRETS, 'shoal', 'a', made.metadata.uid);
    await api.client.remove(SECRETS, 'shoal', 'a');
    assert.equal(await api.client.get(SECRETS, 'shoal', 'a'), null);
    const away = new HttpKubeClient({
      server: 'https://127.0.0.1:1',
      credentials: () => api.connection('x').credentials(),
    });
    await assert.rejects(away.get(SECRETS, 'shoal', 'a'), { status: 0, reason: 'Unreachable' });
  });

  it('lists several pages, then watches', async () => {
    for (let from = 0; from < 600; from += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, index) =>
          api.client.create(SECRETS, {
            apiVersion: 'v1',
            kind: 'Secret',
            metadata: { name: `many-${from + index}`, namespace: 'shoal' },
            type: 'test/many',
          }),
        ),
      );
    }
    const scope = { resource: SECRETS, namespace: 'shoal', fieldSelector: 'type=test/many' };
    const { items, resourceVersion } = await api.client.list(scope);
    assert.equal(new Set(items.map(({ metadata }) => metadata.name)).size, 600);
    const events: KubeWatchEvent<KubeObject>[] = [];
    const stop = new AbortController();
    const watching = api.client.watch(
      scope,
      resourceVersion,
      (event) => void (event.type !== 'BOOKMARK' && events.push(event)),
      stop.signal,
    );
    await api.client.remove(SECRETS, 'shoal', 'many-7');
    await eventually('the event', () => events.length > 0);
    assert.deepEqual(
      events.map(({ type, object }) => [type, object.metadata.name]),
      [['DELETED', 'many-7']],
    );
    stop.abort();
    await watching;
    await assert.rejects(
      api.client.watch(scope, '1', () => {}, AbortSignal.timeout(20_000)),
      { status: 410 },
    );
  });
});
