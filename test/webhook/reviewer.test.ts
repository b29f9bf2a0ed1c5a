import assert from 'node:assert/strict';
import { pino } from 'pino';
import { KubeError, SECRETS } from '../../lib/cluster/kubernetes/client.ts';
import { ADMISSION_DEADLINE_MS } from '../../lib/webhook/limits.ts';
import type { PatchOperation } from '../../lib/webhook/admission.ts';
import type { Secret } from '../../lib/webhook/pull-secret.ts';
import { Reviewer } from '../../lib/webhook/reviewer.ts';
import { turns } from '../kube/turns.ts';
import { Parts } from './parts.ts';
import { ACR, ACR_P2P, rules } from './rules.ts';
import { ENTRY, pullSecret } from './secrets.ts';

interface Answer {
  apiVersion: string;
  kind: string;
  response: { uid: string; allowed: boolean; patch?: string; patchType?: string };
}

const reviewOf = (secrets: string[], request: object = {}, images = [`${ACR}/a:1`]): object => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: 'u-1',
    operation: 'CREATE',
    resource: { group: '', version: 'v1', resource: 'pods' },
    namespace: 'apps',
    object: {
      metadata: {},
      spec: {
        containers: images.map((image, index) => ({ name: `c${index}`, image })),
        imagePullSecrets: secrets.map((name) => ({ name })),
      },
    },
    ...request,
  },
});

describe('the reviewer', () => {
  let parts: Parts;
  const answer = async (body: unknown): Promise<Answer> =>
    (await parts.reviewer.answer(body, 'namespace')) as Answer;
  const patchOf = ({ response }: Answer): PatchOperation[] =>
    response.patch === undefined
      ? []
      : (JSON.parse(Buffer.from(response.patch, 'base64').toString()) as PatchOperation[]);
  const secretNames = (given: Answer): unknown[] =>
    patchOf(given)
      .filter(({ path }) => path.startsWith('/spec/imagePullSecrets'))
      .map(({ value }) => value);
  const unchanged = (given: Answer): void =>
    assert.deepEqual(given.response, { uid: 'u-1', allowed: true });

  beforeEach(async () => {
    parts = await new Parts().started();
    await parts.kube.create(SECRETS, pullSecret('s', [ACR]));
    await parts.kube.create(SECRETS, pullSecret('foreign', ['quay.io']));
    await turns();
  });
  afterEach(() => parts.stop());

  it('creates the copy before it answers, and names it', async () => {
    const given = await answer(reviewOf(['s', 'foreign']));
    assert.ok((await parts.kube.get(SECRETS, 'apps', 'acr-credential-s-p2p')) !== null);
    assert.deepEqual(secretNames(given), [{ name: 'acr-credential-s-p2p' }]);
    assert.equal(patchOf(given)[0]?.value, `${ACR_P2P}/a:1`);
    assert.deepEqual(
      [given.apiVersion, given.kind, given.response.uid],
      ['admission.k8s.io/v1', 'AdmissionReview', 'u-1'],
    );
  });

  it('writes nothing on a dry run and answers alike', async () => {
    const dry = await answer(reviewOf(['s'], { dryRun: true }));
    assert.deepEqual(parts.copyWrites, []);
    assert.deepEqual(patchOf(dry), patchOf(await answer(reviewOf(['s']))));
    assert.deepEqual(parts.copyWrites, ['create acr-credential-s-p2p']);
  });

  it('reads secrets that the watch has not delivered, and copies no copy', async () => {
    parts.kube.objects.set('/api/v1/namespaces/apps/secrets/late', {
      ...pullSecret('late', [ACR]),
      metadata: { name: 'late', namespace: 'apps', resourceVersion: '1' },
    });
    await answer(reviewOf(['s']));
    const given = await answer(
      reviewOf(['late', 's', 'acr-credential-s-p2p', 'acr-credential-gone-p2p']),
    );
    assert.deepEqual(secretNames(given), [{ name: 'acr-credential-late-p2p' }]);
  });

  const troubles: [string, (call: string) => void][] = [
    [
      'a right is missing',
      (call) => {
        if (call.startsWith('create'))
          throw new KubeError(403, 'Forbidden', 'secrets is forbidden');
      },
    ],
    [
      'the API is away',
      () => {
        throw new KubeError(0, 'Unreachable', 'ECONNREFUSED');
      },
    ],
    [
      'something unforeseen is thrown',
      () => {
        throw new TypeError('cannot read properties of undefined');
      },
    ],
  ];
  for (const [what, refuse] of troubles) {
    it(`admits the pod unchanged, and says why, when ${what}`, async () => {
      parts.kube.refuse = refuse;
      unchanged(await answer(reviewOf(['s', 'not-cached'])));
      assert.equal(parts.log.filter((line) => line.includes('pod admitted unchanged')).length, 1);
      for (const line of parts.log)
        assert.ok(!line.includes(ENTRY.auth) && !line.includes(ENTRY.password));
    });
  }

  it('admits the pod unchanged when the copy is late', async () => {
    const hang = Promise.withResolvers<never>();
    parts.kube.create = () => hang.promise;
    const pending = answer(reviewOf(['s']));
    await turns();
    parts.clock.advance(ADMISSION_DEADLINE_MS);
    unchanged(await pending);
  });

  it('rewrites a pod entirely or not at all', async () => {
    await parts.kube.create(SECRETS, pullSecret('t', [ACR]));
    await turns();
    parts.kube.refuse = (call) => {
      if (call.startsWith('create') && call.includes('credential-t-'))
        throw new KubeError(422, 'Invalid', 'quota');
    };
    unchanged(await answer(reviewOf(['s', 't'])));
  });

  it('rewrites with a glob key only if the copy covers the P2P host', async () => {
    await parts.kube.create(SECRETS, pullSecret('named', ['*.example.com:5000']));
    await parts.kube.create(SECRETS, pullSecret('wide', ['*.*.*.aliyuncs.com']));
    await turns();
    const image = 'registry.example.com:5000/a:1';
    assert.deepEqual(secretNames(await answer(reviewOf(['named'], {}, [image]))), [
      { name: 'acr-credential-named-p2p' },
    ]);
    unchanged(await answer(reviewOf(['wide'])));
    assert.equal(
      parts.log.filter((line) => line.includes('pod admitted unchanged') && line.includes(ACR))
        .length,
      1,
    );
    await parts.kube.create(SECRETS, pullSecret('acr-credential-wide-p2p', [ACR_P2P]));
    await turns();
    assert.deepEqual(
      secretNames(await answer(reviewOf(['wide']))),
      [{ name: 'acr-credential-wide-p2p' }],
      'one made by hand is trusted',
    );
  });

  it('rewrites images of a credential provider only with a pull secret for them', async () => {
    const other = 'registry.example.com:5000/a:1';
    const reviewer = new Reviewer({
      rules: { ...rules, credentialProviderImages: ['*.*.cr.aliyuncs.com'] },
      store: parts.store,
      keeper: parts.keeper,
      policy: parts.namespaces,
      client: parts.kube,
      clock: parts.clock,
      log: pino({ level: 'silent' }),
    });
    const valuesOf = async (secrets: string[]): Promise<unknown[]> => {
      const body = reviewOf(secrets, {}, [`${ACR}/a:1`, other]);
      return patchOf((await reviewer.answer(body, 'namespace')) as Answer)
        .filter(({ path }) => path.startsWith('/spec'))
        .map(({ value }) => value);
    };
    const p2pOther = 'p2p.example.com:65001/a:1';
    assert.deepEqual(await valuesOf([]), [p2pOther], 'the provider gives them');
    assert.deepEqual(await valuesOf(['foreign']), [p2pOther], 'a secret of another registry');
    const copy = { name: 'acr-credential-s-p2p' };
    assert.deepEqual(await valuesOf(['foreign', 's']), [`${ACR_P2P}/a:1`, p2pOther, copy]);
    assert.deepEqual(
      await valuesOf(['to-come']),
      [`${ACR_P2P}/a:1`, p2pOther, { name: 'acr-credential-to-come-p2p' }],
      'a secret that is not there yet may hold them',
    );
  });

  it('answers malformed reviews, with the uid if there is one', async () => {
    assert.deepEqual(
      (
        await answer({
          apiVersion: 'admission.k8s.io/v1',
          request: {
            uid: 'u-1',
            operation: 'CREATE',
            resource: { group: '', resource: 'pods' },
            object: 7,
            namespace: 'x',
          },
        })
      ).response,
      { uid: 'u-1', allowed: true },
    );
    for (const body of [null, 'text', [], {}, { request: { uid: 7 } }])
      assert.deepEqual((await answer(body)).response, { uid: '', allowed: true });
  });

  it('reads no secret of a pod that it leaves alone', async () => {
    const before = parts.kube.reads.length;
    unchanged(await answer(reviewOf(['not-cached'], {}, ['quay.io/a'])));
    unchanged(await answer(reviewOf(['not-cached'], { operation: 'UPDATE' })));
    assert.equal(parts.kube.reads.length, before);
  });

  it('keeps and names a copy made by hand', async () => {
    const byHand: Secret = pullSecret('acr-credential-s-p2p', [ACR_P2P]);
    await parts.kube.create(SECRETS, byHand);
    const writes = parts.kube.writes.length;
    await turns();
    assert.deepEqual(secretNames(await answer(reviewOf(['s']))), [
      { name: 'acr-credential-s-p2p' },
    ]);
    assert.equal(parts.kube.writes.length, writes);
  });
});
