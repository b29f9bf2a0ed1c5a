import assert from 'node:assert/strict';
import { KubeError, SECRETS } from '../../lib/cluster/kubernetes/client.ts';
import { COPY_RETRY_MS_MAX } from '../../lib/webhook/limits.ts';
import { KUBE_RESYNC_MS } from '../../lib/limits.ts';
import { copyName, pullSecretCopy, type Secret } from '../../lib/webhook/pull-secret.ts';
import { turns } from '../kube/turns.ts';
import { Parts } from './parts.ts';
import { ACR, ACR_P2P, rules } from './rules.ts';
import { decode, encode, pullSecret } from './secrets.ts';

const COPY = 'acr-credential-s-p2p';
const ORIGINAL_PATH = '/api/v1/namespaces/apps/secrets/s';

describe('copies in the cluster', () => {
  let parts: Parts;
  const copy = async (name = COPY, namespace = 'apps'): Promise<Secret | null> =>
    await parts.kube.get<Secret>(SECRETS, namespace, name);

  beforeEach(async () => {
    parts = await new Parts().started();
  });
  afterEach(() => parts.stop());

  describe('made on demand', () => {
    it('is created once by concurrent callers', async () => {
      await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
      await turns();
      const outcomes = await Promise.all(
        Array.from({ length: 100 }, () => parts.keeper.ensure('apps', 's')),
      );
      assert.deepEqual(new Set(outcomes), new Set(['create']));
      assert.deepEqual(parts.copyWrites, [`create ${COPY}`]);
      assert.equal(await parts.keeper.ensure('apps', 's'), 'none', 'without waiting for the watch');
    });

    it('accepts that another replica was first', async () => {
      const original = await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
      await turns();
      const theirs = pullSecretCopy(original, rules)!;
      parts.kube.refuse = (call) => {
        if (!call.startsWith('create')) return;
        // Theirs comes in the moment between look and write.
        parts.kube.refuse = () => {};
        parts.kube.objects.set(`/api/v1/namespaces/apps/secrets/${COPY}`, {
          ...theirs,
          metadata: { ...theirs.metadata, uid: 'c', resourceVersion: '9' },
        });
      };
      assert.equal(await parts.keeper.ensure('apps', 's'), 'none');
    });

    it('does not remove a copy because of a stale cache', async () => {
      const original = {
        ...pullSecret('s', [ACR]),
        metadata: { name: 's', namespace: 'apps', uid: 'u', resourceVersion: '1' },
      };
      parts.kube.objects.set(ORIGINAL_PATH, original);
      await parts.kube.create(SECRETS, pullSecretCopy(original, rules)!);
      await turns();
      assert.equal(parts.store.get('apps', 's'), null, 'the watch never told of it');
      await parts.keeper.ensure('apps', 's');
      assert.ok((await copy()) !== null);
    });

    it('recreates a copy that was removed concurrently', async () => {
      await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
      await turns();
      const create = parts.kube.create.bind(parts.kube);
      parts.kube.create = async (resource, object) => {
        const made = await create(resource, object);
        await parts.kube.remove(SECRETS, 'apps', object.metadata.name);
        await turns();
        return made;
      };
      await parts.keeper.ensure('apps', 's');
      assert.equal(parts.store.get('apps', COPY), null, 'the watch has told of its end');
      parts.kube.create = create;
      assert.equal(await parts.keeper.ensure('apps', 's'), 'create');
    });

    it('rejects when the API refuses', async () => {
      await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
      await turns();
      parts.kube.refuse = (call) => {
        if (call.startsWith('create'))
          throw new KubeError(403, 'Forbidden', 'secrets is forbidden');
      };
      await assert.rejects(parts.keeper.ensure('apps', 's'), { status: 403 });
      parts.kube.refuse = (call) => {
        if (call.startsWith('create')) throw new KubeError(409, 'AlreadyExists', 'again and again');
      };
      await assert.rejects(parts.keeper.ensure('apps', 's'), { status: 409 });
    });
  });

  describe('kept by the controller', () => {
    it('does nothing before it leads, then reconciles everything', async () => {
      await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
      await parts.kube.create(
        SECRETS,
        pullSecret('old', [ACR], { type: 'kubernetes.io/dockercfg' }),
      );
      await parts.kube.create(SECRETS, pullSecret('foreign', ['quay.io']));
      await parts.kube.create(SECRETS, pullSecret('s', [ACR], { namespace: 'kube-system' }));
      await turns();
      assert.deepEqual(parts.copyWrites, []);
      parts.controller.lead(true);
      await turns();
      assert.deepEqual(parts.copyWrites.sort(), [
        'create acr-credential-old-p2p',
        `create ${COPY}`,
      ]);
      assert.equal(await copy(COPY, 'kube-system'), null);
    });

    it('follows a changed, a recreated and a removed original', async () => {
      parts.controller.lead(true);
      const original = await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
      await turns();
      await parts.kube.replace(SECRETS, {
        ...original,
        data: { '.dockerconfigjson': encode({ auths: { [ACR]: { auth: 'new' } } }) },
      });
      await turns();
      assert.deepEqual(decode((await copy())?.data?.['.dockerconfigjson']), {
        auths: { [ACR_P2P]: { auth: 'new' } },
      });
      await parts.kube.remove(SECRETS, 'apps', 's');
      await parts.kube.create(SECRETS, pullSecret('s', [ACR], { type: 'kubernetes.io/dockercfg' }));
      await turns(60);
      assert.equal((await copy())?.type, 'kubernetes.io/dockercfg');
      await parts.kube.remove(SECRETS, 'apps', 's');
      await turns(60);
      assert.equal(await copy(), null);
    });

    it('recreates a removed copy, also with a truncated name', async () => {
      const names = [
        's',
        'n'.repeat(234),
        'n'.repeat(235),
        `${'n'.repeat(250)}-a`,
        `${'n'.repeat(250)}-b`,
      ];
      for (const name of names) await parts.kube.create(SECRETS, pullSecret(name, [ACR]));
      await turns();
      parts.controller.lead(true);
      await turns(60);
      for (const name of names) {
        await parts.kube.remove(SECRETS, 'apps', copyName(name));
        await turns();
        assert.ok((await copy(copyName(name))) !== null, `${name.length} characters`);
      }
    });

    it('removes copies whose original went away while there was no leader', async () => {
      parts.controller.lead(true);
      await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
      await turns();
      parts.controller.lead(false);
      await parts.kube.remove(SECRETS, 'apps', 's');
      await turns();
      assert.ok((await copy()) !== null);
      parts.controller.lead(true);
      await turns();
      assert.equal(await copy(), null);
    });

    it('retries a failure and continues with other secrets', async () => {
      parts.controller.lead(true);
      parts.kube.refuse = (call) => {
        if (call.startsWith('create') && call.includes('acr-credential-s-'))
          throw new KubeError(500, 'InternalError', 'quota');
      };
      await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
      await parts.kube.create(SECRETS, pullSecret('t', [ACR]));
      await turns();
      assert.equal(await copy(), null);
      assert.ok((await copy('acr-credential-t-p2p')) !== null);
      assert.equal(parts.log.filter((line) => line.includes('retrying')).length, 1);
      parts.kube.refuse = () => {};
      parts.clock.advance(COPY_RETRY_MS_MAX);
      await turns();
      assert.ok((await copy()) !== null);
    });

    it('reconciles everything after the resync period', async () => {
      parts.controller.lead(true);
      await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
      await turns();
      // Gone without an event, as if the watch had lost it.
      parts.kube.objects.delete(`/api/v1/namespaces/apps/secrets/${COPY}`);
      parts.clock.advance(KUBE_RESYNC_MS);
      parts.kube.endWatches();
      await turns(60);
      assert.ok((await copy()) !== null);
    });
  });
});
