import assert from 'node:assert/strict';
import { KubeError, NAMESPACES, SECRETS } from '../../lib/cluster/kubernetes/client.ts';
import { allowsCopies, type CopyDefault } from '../../lib/webhook/namespace-survey.ts';
import { turns } from '../kube/turns.ts';
import { Parts } from './parts.ts';
import { ACR } from './rules.ts';
import { encode, pullSecret } from './secrets.ts';

const COPY = 'acr-credential-s-p2p';
const MODE = 'k8s.aliyun.com/image-accelerate-mode';
const COPIES = 'shoal/pull-secret-copies';

describe('where pull secrets are copied', () => {
  const table: [labels: Record<string, string>, all: boolean, labelled: boolean][] = [
    [{}, true, false],
    [{ [MODE]: 'p2p' }, true, true],
    [{ [MODE]: 'off' }, true, false],
    [{ [COPIES]: 'allow' }, true, true],
    [{ [COPIES]: 'deny', [MODE]: 'p2p' }, false, false],
    [{ [COPIES]: 'Allow' }, false, false],
    [{ [COPIES]: '' }, false, false],
    [{ 'shoal/opt-out': '', [COPIES]: 'allow' }, false, false],
    [{ 'shoal/opt-out': 'image-policy', [MODE]: 'p2p' }, false, false],
  ];
  for (const [labels, all, labelled] of table)
    it(`labels ${JSON.stringify(labels)}: ${all}, by opt-in ${labelled}`, () => {
      const metadata = { name: 'a', labels };
      assert.equal(allowsCopies({ metadata }, 'all'), all);
      assert.equal(allowsCopies({ metadata }, 'labelled'), labelled);
      const ending = { ...metadata, deletionTimestamp: '2026-01-01T00:00:00Z' };
      assert.equal(allowsCopies({ metadata: ending }, 'all'), false);
    });

  describe('in the cluster', () => {
    let parts: Parts;
    const begin = async (copyDefault: CopyDefault): Promise<void> => {
      parts = await new Parts(copyDefault).started();
      parts.controller.lead(true);
      await turns();
    };
    const hasCopy = async (namespace = 'apps'): Promise<boolean> =>
      (await parts.kube.get(SECRETS, namespace, COPY)) !== null;
    afterEach(() => parts.stop());

    it('follows a label that is set and taken away', async () => {
      await begin('labelled');
      const original = await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
      await turns(60);
      assert.equal(await hasCopy(), false);
      await parts.label('apps', { [COPIES]: 'allow' });
      await turns(60);
      assert.equal(await hasCopy(), true, 'made once the namespace allows it');
      await parts.label('apps', { 'shoal/opt-out': 'true' });
      await turns(60);
      assert.equal(await hasCopy(), true, 'pods that run may use it');
      const data = { '.dockerconfigjson': encode({ auths: { [ACR]: { auth: 'new' } } }) };
      await parts.kube.replace(SECRETS, { ...original, metadata: { ...original.metadata }, data });
      await turns(60);
      assert.equal(parts.copyWrites.at(-1), `replace ${COPY}`, 'and it follows its original');
      await parts.kube.remove(SECRETS, 'apps', COPY);
      await turns(60);
      assert.equal(await hasCopy(), false, 'it is not made again');
    });

    it('removes a copy with its original also where no new one is allowed', async () => {
      await begin('all');
      await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
      await turns(60);
      await parts.label('apps', { [COPIES]: 'deny' });
      await parts.kube.remove(SECRETS, 'apps', 's');
      await turns(60);
      assert.equal(await hasCopy(), false);
    });

    it('asks the API for a namespace that the watch has not reported', async () => {
      await begin('labelled');
      parts.namespace('fresh', { [MODE]: 'p2p' });
      assert.equal(await parts.namespaces.mayCopy('fresh'), true);
      assert.equal(await parts.namespaces.mayCopy('missing'), false);
      parts.kube.refuse = () => {
        throw new KubeError(403, 'Forbidden', 'namespaces is forbidden');
      };
      await assert.rejects(parts.namespaces.mayCopy('unknown'), { status: 403 });
      assert.equal(await parts.namespaces.mayCopy('kube-system'), false, 'excluded: not asked for');
    });

    it('leaves a namespace that is being removed alone', async () => {
      await begin('all');
      const metadata = { name: 'apps', deletionTimestamp: '2026-01-01T00:00:00Z' };
      await parts.kube.replace(NAMESPACES, { metadata });
      await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
      await turns(60);
      assert.deepEqual(parts.copyWrites, []);
      assert.ok(!parts.log.some((line) => line.includes('retrying')));
    });
  });
});
