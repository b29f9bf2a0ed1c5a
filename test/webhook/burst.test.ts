import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { KubeError, SECRETS, type KubeClient } from '../../lib/cluster/kubernetes/client.ts';
import { AUTHORITY_SETTLE_MS } from '../../lib/webhook/limits.ts';
import { RENEW_ANNOTATION } from '../../lib/webhook/certificate-keeper.ts';
import { isCopy, type Secret } from '../../lib/webhook/pull-secret.ts';
import { type ApiServer, PODS } from '../kube/api-server.ts';
import { eventually } from '../kube/eventually.ts';
import { MODE_KEY, P2P_CONFIG_ANNOTATION, type StoredPod, WebhookCluster } from './cluster.ts';
import { ACR, ACR_P2P } from './rules.ts';
import { pullSecret } from './secrets.ts';

const PODS_TOTAL = 1_000;
const BURST = 50;
const TEAMS = 10;

/** A client that keeps a record of the writes to secrets that the API server took. */
function recorded(client: KubeClient, writes: string[]): KubeClient {
  const record = <T>(what: string, done: Promise<T>): Promise<T> =>
    done.then((value) => (writes.push(what), value));
  return {
    get: (...args) => client.get(...args),
    list: (...args) => client.list(...args),
    watch: (...args) => client.watch(...args),
    patch: (...args) => client.patch(...args),
    create: (resource, object) =>
      record(
        `create ${resource.plural} ${object.metadata.namespace}/${object.metadata.name}`,
        client.create(resource, object),
      ),
    replace: (resource, object) =>
      record(
        `replace ${resource.plural} ${object.metadata.namespace}/${object.metadata.name}`,
        client.replace(resource, object),
      ),
    remove: (resource, namespace, name, uid) =>
      record(
        `remove ${resource.plural} ${namespace}/${name}`,
        client.remove(resource, namespace, name, uid),
      ),
  };
}

describe('a burst of pods, two replicas, certificates renewed on the way', function () {
  this.timeout(180_000);
  let api: ApiServer;
  let cluster: WebhookCluster;
  const writes: string[] = [];

  before(async function () {
    cluster = await WebhookCluster.start(this);
    api = cluster.api;
    await cluster.replica(recorded(cluster.client, writes));
    await cluster.replica(recorded(cluster.client, writes));
    await cluster.called();
  });
  after(async () => await cluster?.dispose());

  const renew = async (what: string): Promise<string> => {
    for (;;) {
      const secret = await api.client.get<Secret>(SECRETS, 'shoal', 'shoal-webhook-certificate');
      assert.ok(secret !== null);
      try {
        await api.client.replace(SECRETS, {
          ...secret,
          metadata: { ...secret.metadata, annotations: { [RENEW_ANNOTATION]: what } },
        });
        return secret.data!['tls.crt']!;
      } catch (error) {
        if (!(error instanceof KubeError && error.status === 409)) throw error;
      }
    }
  };

  it(`admits ${PODS_TOTAL} pods: one rewrite a pod, one write a copy, no failed call`, async () => {
    for (let team = 0; team < TEAMS; team++)
      await api.namespace(`team-${team}`, { [MODE_KEY]: 'p2p' });
    const leaves = new Set<string>();
    const began = performance.now();
    for (let made = 0; made < PODS_TOTAL; made += BURST) {
      if (made === 200 || made === 600) leaves.add(await renew('leaf'));
      if (made === 400) leaves.add(await renew('authority'));
      if (made === 800) {
        // By now every API server trusts the new authority, and the leaf is signed by it.
        cluster.aheadMs = AUTHORITY_SETTLE_MS * 2;
        leaves.add(await renew('leaf'));
      }
      const burst = Array.from({ length: BURST }, async (_, index) => {
        const team = (made + index) % TEAMS;
        // The secret comes with the first pods that need it: admission and both controllers meet
        // over it.
        if (made + index < TEAMS)
          await api.client.create(
            SECRETS,
            pullSecret('pull', [ACR], { namespace: `team-${team}` }),
          );
        return await cluster.pod(
          `team-${team}`,
          { generateName: 'p-' },
          [`${ACR}/app/web:${made + index}`, 'quay.io/side:1'],
          { imagePullSecrets: [{ name: 'pull' }] },
        );
      });
      for (const pod of await Promise.all(burst)) checkPod(pod);
    }
    const seconds = (performance.now() - began) / 1_000;
    console.log(
      `      ${PODS_TOTAL} pods in ${seconds.toFixed(1)} s, ` +
        `${(PODS_TOTAL / seconds).toFixed(0)} a second through API server and webhook`,
    );

    const stored = (
      await api.client.list<StoredPod>({ resource: PODS, namespace: null })
    ).items.filter(({ metadata }) => metadata.namespace!.startsWith('team-'));
    assert.equal(stored.length, PODS_TOTAL, 'none lost');
    for (const pod of stored) checkPod(pod);
    const copies = (
      await api.client.list<Secret>({ resource: SECRETS, namespace: null })
    ).items.filter((secret) => isCopy(secret) && secret.metadata.namespace!.startsWith('team-'));
    assert.equal(copies.length, TEAMS);
    const copyWrites = writes.filter(
      (write) => write.includes('acr-credential-') && write.includes(' team-'),
    );
    assert.equal(copyWrites.length, TEAMS, `each copy is written once: ${copyWrites.join(', ')}`);
    assert.ok(leaves.size >= 2, 'the leaf was renewed on the way');
  });

  it('uses the new certificate, trusted by the bundle of both authorities', async () => {
    const secret = (
      await eventually('the renewal has been carried out', async () => {
        const found = await api.client.get<Secret>(SECRETS, 'shoal', 'shoal-webhook-certificate');
        return found?.metadata.annotations?.[RENEW_ANNOTATION] === undefined && found;
      })
    ).value;
    const [leaf, newest] = ['tls.crt', 'ca-0.crt'].map(
      (name) => new X509Certificate(Buffer.from(secret.data![name]!, 'base64')),
    );
    assert.ok(leaf!.verify(newest!.publicKey), "the leaf is the new authority's");
    assert.deepEqual(
      Object.keys(secret.data!)
        .filter((key) => /^ca-.*crt$/.test(key))
        .sort(),
      ['ca-0.crt', 'ca-1.crt'],
    );
    await cluster.called();
  });

  function checkPod({ metadata, spec }: StoredPod): void {
    const tag = /:(\d+)$/.exec(spec.containers[0]!.image)![1]!;
    assert.deepEqual(
      spec.containers.map(({ image }) => image),
      [`${ACR_P2P}/app/web:${tag}`, 'quay.io/side:1'],
    );
    assert.deepEqual(spec.imagePullSecrets, [
      { name: 'pull' },
      { name: 'acr-credential-pull-p2p' },
    ]);
    const config = JSON.parse(metadata.annotations![P2P_CONFIG_ANNOTATION]!) as {
      containers: { image: string }[];
    };
    assert.deepEqual(
      config.containers.map(({ image }) => image),
      [`${ACR}/app/web:${tag}`],
      'rewritten once',
    );
  }
});
