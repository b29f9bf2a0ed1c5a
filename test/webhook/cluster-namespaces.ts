import assert from 'node:assert/strict';
import {
  EVENTS,
  NAMESPACES,
  SECRETS,
  type KubeError,
  type KubeObject,
} from '../../lib/cluster/kubernetes/client.ts';
import { HttpKubeClient } from '../../lib/cluster/kubernetes/http.ts';
import { NamespaceSurvey } from '../../lib/webhook/namespace-survey.ts';
import { systemClock } from '../../lib/clock.ts';
import { renderChart } from '../../deploy/render.ts';
import { kubeAssets } from '../kube/assets.ts';
import { eventually } from '../kube/eventually.ts';
import { find, objectsOf } from '../deploy/chart.ts';
import { MODE_KEY, type WebhookCluster } from './cluster.ts';
import { ACR, ACR_P2P } from './rules.ts';
import { pullSecret } from './secrets.ts';

const IMAGE = `${ACR}/docker-builder/nginx:latest`;
const COPY = 'acr-credential-test-registry-p2p';
const COPIES = 'shoal/pull-secret-copies';

/** How the webhook deals with labels of namespaces. */
export function describeNamespaces(started: () => { cluster: WebhookCluster }): void {
  const label = (cluster: WebhookCluster, name: string, labels: object): Promise<unknown> =>
    cluster.api.call(
      'PATCH',
      `/api/v1/namespaces/${name}`,
      { metadata: { labels } },
      'application/merge-patch+json',
    );

  it('copies no pull secret where the namespace forbids it, and says so in an Event', async () => {
    const { cluster } = started();
    const { client } = cluster.api;
    const namespace = await cluster.namespace({ [MODE_KEY]: 'p2p', [COPIES]: 'deny' });
    const optedOut = await cluster.namespace({ 'shoal/opt-out': 'true' });
    const other = await cluster.namespace();
    for (const one of [namespace, optedOut, other])
      await client.create(SECRETS, pullSecret('test-registry', [ACR], { namespace: one }));
    const hasCopy = async (where: string): Promise<boolean> =>
      (await client.get(SECRETS, where, COPY)) !== null;
    const spec = { imagePullSecrets: [{ name: 'test-registry' }] };
    const kept = await cluster.pod(namespace, { name: 'kept' }, [IMAGE], spec);
    assert.equal(kept.spec.containers[0]?.image, IMAGE);
    assert.deepEqual(kept.spec.imagePullSecrets, spec.imagePullSecrets);
    const open = await cluster.pod(namespace, { name: 'open' }, [IMAGE]);
    assert.match(open.spec.containers[0]!.image, new RegExp(`^${ACR_P2P}`), 'needs no secret');
    await eventually('an event', async () =>
      (await client.list({ resource: EVENTS, namespace })).items.some((event) =>
        /labels of the namespace .*: test-registry$/.test(String(event['message'])),
      ),
    );
    await eventually('the copy elsewhere', async () => await hasCopy(other));
    assert.deepEqual([await hasCopy(namespace), await hasCopy(optedOut)], [false, false]);

    await label(cluster, namespace, { [COPIES]: 'allow' });
    await eventually('a copy once it is allowed', async () => await hasCopy(namespace));
    await label(cluster, namespace, { [COPIES]: 'deny' });
    const later = await cluster.pod(namespace, { name: 'later' }, [IMAGE], spec);
    assert.match(later.spec.containers[0]!.image, new RegExp(`^${ACR_P2P}`), 'the copy is there');
    await client.remove(SECRETS, namespace, COPY);
    await eventually('pods are left alone again', async () => {
      const pod = await cluster.pod(namespace, { generateName: 'x-' }, [IMAGE], spec);
      return pod.spec.containers[0]?.image === IMAGE;
    });
    assert.equal(await hasCopy(namespace), false);
  });

  it('reads no other namespaces than the chart lists', async function () {
    const [helm = ''] = kubeAssets.needs(this, 'helm');
    const { api } = started().cluster;
    await api.namespace('narrow');
    await api.namespace('listed', { [COPIES]: 'allow' });
    const rendered = objectsOf(renderChart(helm, ['webhook.secretNamespaces={listed,to-come}']));
    const role = find(rendered, 'ClusterRole', /webhook/) as KubeObject & {
      rules: { resources: string[] }[];
    };
    assert.ok(role.rules.every(({ resources }) => !resources.includes('secrets')));
    const named = { ...role, metadata: { name: 'narrow' } };
    const account = { kind: 'ServiceAccount', name: 'webhook', namespace: 'narrow' };
    const { namespace } = account;
    await api.post(named);
    await api.post({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: account.name, namespace },
    });
    await api.post({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'narrow' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'narrow' },
      subjects: [account],
    });
    const token = await api.serviceAccountToken(namespace, account.name);
    const client = new HttpKubeClient(api.connection(token));
    const errors: KubeError[] = [];
    const changes: string[] = [];
    const survey = new NamespaceSurvey({
      client,
      clock: systemClock,
      random: Math.random,
      copyDefault: 'labelled',
      excluded: new Set(),
      namespaces: ['listed', 'to-come'],
      onChange: (names) => changes.push(...names),
      onError: (error) => errors.push(error),
    });
    survey.start();
    try {
      await eventually('both are listed', () => survey.isSynced);
      assert.equal(await survey.mayCopy('listed'), true);
      assert.equal(await survey.mayCopy('to-come'), false);
      await api.namespace('to-come', { [MODE_KEY]: 'p2p' });
      await eventually('the new one is reported', () => changes.includes('to-come'));
      assert.equal(await survey.mayCopy('to-come'), true);
      await assert.rejects(client.get(NAMESPACES, null, 'default'), { status: 403 });
      await assert.rejects(client.list({ resource: NAMESPACES, namespace: null }), { status: 403 });
      assert.deepEqual(errors, []);
    } finally {
      await survey.stop();
    }
  });
}
