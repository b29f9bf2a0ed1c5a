import assert from 'node:assert/strict';
import {
  SECRETS,
  KubeError,
  MUTATING_WEBHOOKS,
  type KubeObject,
} from '../../lib/cluster/kubernetes/client.ts';
import type { Secret } from '../../lib/webhook/pull-secret.ts';
import type { WebhookService } from '../../lib/webhook/service.ts';
import { type ApiServer, PODS } from '../kube/api-server.ts';
import { kubeAssets } from '../kube/assets.ts';
import { ControllerManager } from '../kube/controller-manager.ts';
import { eventually } from '../kube/eventually.ts';
import { describeNamespaces } from './cluster-namespaces.ts';
import { describeNodes } from './cluster-nodes.ts';
import { MODE_KEY, P2P_CONFIG_ANNOTATION, type StoredPod, WebhookCluster } from './cluster.ts';
import { ACR, ACR_P2P } from './rules.ts';
import { decode, encode, ENTRY, pullSecret } from './secrets.ts';

const IMAGE = `${ACR}/docker-builder/nginx:latest`;
const P2P_IMAGE = `${ACR_P2P}/docker-builder/nginx:latest`;
const COPY = 'acr-credential-test-registry-p2p';
/** A copy is to follow a change of its original within so long. */
const FOLLOW_MS = 2_000;
/** The controller manager has started and read the cluster by then. */
const MANAGER_MS = 30_000;

describe('the webhook on a real API server', function () {
  let api: ApiServer;
  let cluster: WebhookCluster;
  let service: WebhookService;

  const secret = (namespace: string, name: string): Promise<Secret | null> =>
    api.client.get<Secret>(SECRETS, namespace, name);
  const authsOf = (found: Secret | null): unknown =>
    (decode(found?.data?.['.dockerconfigjson']) as { auths: unknown }).auths;
  before(async function () {
    cluster = await WebhookCluster.start(this);
    api = cluster.api;
    service = await cluster.replica();
    await cluster.called();
  });
  after(async () => await cluster?.dispose());

  describeNodes(() => ({ cluster, service }));
  describeNamespaces(() => ({ cluster }));

  it('rewrites the documented pod field by field; its secret has a copy by then', async () => {
    const namespace = await cluster.namespace();
    await api.client.create(SECRETS, pullSecret('test-registry', [ACR], { namespace }));
    const pod = await cluster.pod(
      namespace,
      { name: 'test', labels: { app: 'nginx', [MODE_KEY]: 'p2p' } },
      [IMAGE],
      { imagePullSecrets: [{ name: 'test-registry' }] },
    );
    const copy = await secret(namespace, COPY);
    assert.equal(pod.spec.containers[0]?.image, P2P_IMAGE);
    assert.deepEqual(pod.spec.imagePullSecrets, [{ name: 'test-registry' }, { name: COPY }]);
    assert.deepEqual(pod.metadata.labels, { app: 'nginx', [MODE_KEY]: 'p2p' });
    assert.deepEqual(
      Object.keys(pod.metadata.annotations ?? {}).sort(),
      [MODE_KEY, P2P_CONFIG_ANNOTATION].sort(),
    );
    assert.equal(pod.metadata.annotations![MODE_KEY], 'p2p');
    assert.deepEqual(JSON.parse(pod.metadata.annotations![P2P_CONFIG_ANNOTATION]!), {
      containers: [{ name: 'c0', image: IMAGE, p2pImage: P2P_IMAGE }],
      imagePullSecrets: [{ name: 'test-registry', p2pName: COPY }],
    });
    assert.equal(copy?.type, 'kubernetes.io/dockerconfigjson');
    assert.deepEqual(authsOf(copy), { [ACR_P2P]: ENTRY });
    assert.deepEqual((await cluster.getPod(namespace, 'test'))?.spec, pod.spec, 'as it is stored');
  });

  it('takes labelled namespaces, secrets of service accounts, init containers', async () => {
    // Images of registries that are not configured stay as they are.
    const namespace = await cluster.namespace({ [MODE_KEY]: 'p2p' }, ['account']);
    await api.client.create(
      SECRETS,
      pullSecret('account', [`https://${ACR}`], { namespace, type: 'kubernetes.io/dockercfg' }),
    );
    const pod = await cluster.pod(namespace, { generateName: 'x-' }, [IMAGE, 'quay.io/a:1'], {
      initContainers: [{ name: 'i', image: `${ACR}/i@sha256:${'a'.repeat(64)}` }],
    });
    assert.deepEqual(
      pod.spec.containers.map(({ image }) => image),
      [P2P_IMAGE, 'quay.io/a:1'],
    );
    assert.equal(pod.spec.initContainers?.[0]?.image, `${ACR_P2P}/i@sha256:${'a'.repeat(64)}`);
    assert.deepEqual(pod.spec.imagePullSecrets, [
      { name: 'account' },
      { name: 'acr-credential-account-p2p' },
    ]);
    const copy = await secret(namespace, 'acr-credential-account-p2p');
    assert.deepEqual(decode(copy?.data?.['.dockercfg']), { [ACR_P2P]: ENTRY });
  });

  it('leaves pods that opted out, unlabelled pods and excluded namespaces', async () => {
    const labelled = await cluster.namespace({ [MODE_KEY]: 'p2p' });
    const plain = await cluster.namespace();
    await api.call(
      'PATCH',
      '/api/v1/namespaces/kube-system',
      { metadata: { labels: { [MODE_KEY]: 'p2p' } } },
      'application/merge-patch+json',
    );
    await api.post({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default', namespace: 'kube-system' },
    });
    const out = [
      await cluster.pod(labelled, { name: 'out', labels: { [MODE_KEY]: 'off' } }, [IMAGE]),
      await cluster.pod(plain, { name: 'plain' }, [IMAGE]),
      await cluster.pod('kube-system', { name: 'system', labels: { [MODE_KEY]: 'p2p' } }, [IMAGE]),
      await cluster.pod('shoal', { name: 'own', labels: { [MODE_KEY]: 'p2p' } }, [IMAGE], {
        serviceAccountName: 'default',
      }),
    ];
    for (const pod of out) {
      assert.equal(pod.spec.containers[0]?.image, IMAGE, pod.metadata.name);
      assert.equal(pod.metadata.annotations, undefined);
    }
  });

  it('rewrites pods of controllers; the garbage collector removes a copy', async function () {
    const [program = ''] = kubeAssets.needs(this, 'kube-controller-manager');
    const namespace = await cluster.namespace();
    await api.client.create(SECRETS, pullSecret('test-registry', [ACR], { namespace }));
    const template = {
      metadata: { labels: { app: 'a', [MODE_KEY]: 'p2p' } },
      spec: {
        imagePullSecrets: [{ name: 'test-registry' }],
        containers: [{ name: 'c', image: IMAGE }],
      },
    };
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'a', namespace },
      spec: { replicas: 3, selector: { matchLabels: { app: 'a' } }, template },
    } as KubeObject;
    await api.post(deployment);
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/a`;
    const manager = ControllerManager.start(program, api, [
      'deployment-controller',
      'replicaset-controller',
      'garbage-collector-controller',
    ]);
    try {
      const pods = async (): Promise<StoredPod[]> =>
        (await api.client.list<StoredPod>({ resource: PODS, namespace })).items;
      await eventually('three pods', async () => (await pods()).length === 3, MANAGER_MS);
      for (const { spec } of await pods()) {
        assert.equal(spec.containers[0]?.image, P2P_IMAGE);
        assert.deepEqual(spec.imagePullSecrets, [{ name: 'test-registry' }, { name: COPY }]);
      }
      const stored = await api.call<KubeObject & { spec: { template: typeof template } }>(
        'GET',
        path,
      );
      const { image } = stored.spec.template.spec.containers[0]!;
      assert.equal(image, IMAGE, 'the workload itself is never changed');
      await cluster.stop(service);
      await api.client.remove(SECRETS, namespace, 'test-registry');
      await eventually(
        'the copy goes without the webhook',
        async () => (await secret(namespace, COPY)) === null,
        MANAGER_MS,
      );
    } finally {
      await manager.stop();
    }
    service = await cluster.replica();
    await cluster.called();
  });

  it('updates the copy, recreates it, and removes it with its original', async () => {
    const namespace = await cluster.namespace();
    const original = await api.client.create(
      SECRETS,
      pullSecret('test-registry', [ACR], { namespace }),
    );
    await eventually(
      'a copy before any pod asks',
      async () => (await secret(namespace, COPY)) !== null,
      FOLLOW_MS,
    );
    const changed = { username: 'new', password: 'other', auth: 'bmV3Om90aGVy' };
    await api.client.replace(SECRETS, {
      ...original,
      data: { '.dockerconfigjson': encode({ auths: { [ACR]: changed } }) },
    });
    const { tookMs } = await eventually(
      'the change',
      async () =>
        JSON.stringify(authsOf(await secret(namespace, COPY))) ===
        JSON.stringify({ [ACR_P2P]: changed }),
      FOLLOW_MS,
    );
    await api.client.remove(SECRETS, namespace, COPY);
    await eventually(
      'the copy comes back',
      async () => (await secret(namespace, COPY)) !== null,
      FOLLOW_MS,
    );
    await api.client.remove(SECRETS, namespace, 'test-registry');
    await eventually(
      'the copy goes',
      async () => (await secret(namespace, COPY)) === null,
      FOLLOW_MS,
    );
    assert.ok(tookMs < FOLLOW_MS);
  });

  it('names the copy of a secret that does not exist yet, and creates it later', async () => {
    const namespace = await cluster.namespace();
    const pod = await cluster.pod(
      namespace,
      { name: 'early', labels: { [MODE_KEY]: 'p2p' } },
      [IMAGE],
      { imagePullSecrets: [{ name: 'test-registry' }] },
    );
    assert.deepEqual(pod.spec.imagePullSecrets, [{ name: 'test-registry' }, { name: COPY }]);
    await api.client.create(SECRETS, pullSecret('test-registry', [ACR], { namespace }));
    await eventually('the copy', async () => (await secret(namespace, COPY)) !== null, FOLLOW_MS);
  });

  it('answers a dry run as it would without', async () => {
    const namespace = await cluster.namespace();
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'dry', namespace, labels: { [MODE_KEY]: 'p2p' } },
      spec: { containers: [{ name: 'c', image: IMAGE }] },
    };
    const answered = (await api.post(pod as KubeObject, { dryRun: true })) as KubeObject & {
      spec: { containers: { image: string }[] };
    };
    assert.equal(answered.spec.containers[0]?.image, P2P_IMAGE);
    assert.equal(await cluster.getPod(namespace, 'dry'), null);
  });

  it('admits a pod unchanged when its secrets are damaged or its images invalid', async () => {
    const namespace = await cluster.namespace({ [MODE_KEY]: 'p2p' });
    await api.client.create<Secret>(SECRETS, {
      ...pullSecret('opaque', [ACR], { namespace }),
      type: 'Opaque',
      data: { config: encode('no json') },
    });
    const damaged = await cluster.pod(namespace, { name: 'damaged' }, [IMAGE], {
      imagePullSecrets: [{ name: 'opaque' }],
    });
    assert.equal(damaged.spec.containers[0]?.image, P2P_IMAGE);
    assert.deepEqual(
      damaged.spec.imagePullSecrets,
      [{ name: 'opaque' }],
      'a secret without credentials gets no copy',
    );
    const strange = await cluster.pod(namespace, { name: 'strange' }, [
      `例え.cn-hangzhou.cr.aliyuncs.com/a:1`,
    ]);
    assert.equal(strange.spec.containers[0]?.image, '例え.cn-hangzhou.cr.aliyuncs.com/a:1');
    const big = await cluster.pod(
      namespace,
      { name: 'big', annotations: { big: 'x'.repeat(256 * 1024 - 50) } },
      [IMAGE],
    );
    assert.equal(
      big.spec.containers[0]?.image,
      IMAGE,
      'admitted as it came: one annotation more and the API would refuse it',
    );
  });

  it('creates certificate and caBundle, and recreates them after removal', async () => {
    const bundles = async (): Promise<(string | undefined)[]> => {
      const { webhooks } = (await api.client.get(
        MUTATING_WEBHOOKS,
        null,
        'shoal-shoal',
      )) as KubeObject & { webhooks: { clientConfig: { caBundle?: string } }[] };
      return webhooks.map(({ clientConfig }) => clientConfig.caBundle);
    };
    const before = await bundles();
    assert.equal(new Set(before).size, 1);
    assert.match(Buffer.from(before[0]!, 'base64').toString(), /^-----BEGIN CERTIFICATE-----/);
    await api.client.patch(MUTATING_WEBHOOKS, null, 'shoal-shoal', [
      { op: 'remove', path: '/webhooks/0/clientConfig/caBundle' },
    ]);
    await eventually('the caBundle is put back', async () => (await bundles())[0] === before[0]);
    await api.client.remove(SECRETS, 'shoal', 'shoal-webhook-certificate');
    await eventually(
      'the certificate is stored again',
      async () => (await secret('shoal', 'shoal-webhook-certificate')) !== null,
    );
    assert.deepEqual(await bundles(), before, 'from memory: nobody has to learn a new authority');
  });

  it('does not block pods while it is down, and logs missing rights', async () => {
    const namespace = await cluster.namespace({ [MODE_KEY]: 'p2p' });
    const binding = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/shoal-shoal-webhook';
    const kept = await api.call('GET', binding);
    await api.call('DELETE', binding);
    await eventually(
      'the right is gone',
      async () =>
        await cluster.client.get(SECRETS, namespace, 'x').then(
          () => false,
          (error: unknown) => error instanceof KubeError && error.status === 403,
        ),
    );
    const pod = await cluster.pod(namespace, { name: 'no-rights' }, [IMAGE], {
      imagePullSecrets: [{ name: 'unread' }],
    });
    assert.equal(pod.spec.containers[0]?.image, IMAGE);
    assert.deepEqual(pod.spec.imagePullSecrets, [{ name: 'unread' }]);
    await eventually('a line in the log', () =>
      cluster.log.some(
        (line) => line.includes('pod admitted unchanged') && line.includes('forbidden'),
      ),
    );
    await api.post({ ...kept, metadata: { name: kept.metadata.name } });
    await cluster.stop(service);
    const down = await cluster.pod(namespace, { name: 'down' }, [IMAGE]);
    assert.equal(down.spec.containers[0]?.image, IMAGE);
    service = await cluster.replica();
    await cluster.called();
  });

  it('logs no credential', () => {
    assert.ok(cluster.log.length > 20);
    for (const line of cluster.log) {
      for (const word of [ENTRY.password, ENTRY.auth, 'bmV3Om90aGVy', 'PRIVATE KEY', 'Bearer ey'])
        assert.ok(!line.includes(word), line);
    }
  });
});
