import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  copyName,
  credentialsOf,
  holdsCredentialsFor,
  isCopy,
  planCopy,
  pullSecretCopy,
  type Secret,
} from '../../lib/webhook/pull-secret.ts';
import { kubeAssets } from '../kube/assets.ts';
import { askKubelet } from './kubelet-keyring.ts';
import { ACR, ACR_P2P, rules } from './rules.ts';
import { decode, encode, ENTRY, pullSecret } from './secrets.ts';

const authsOf = (secret: Secret | null): unknown =>
  (decode(secret?.data?.['.dockerconfigjson']) as { auths: unknown }).auths;

describe('pull secret copies', () => {
  it('have the same credentials, namespace and type, keyed by the P2P host and port', () => {
    const copy = pullSecretCopy(pullSecret('test-registry', [ACR], { uid: 'u-1' }), rules);
    assert.equal(copy?.metadata.name, 'acr-credential-test-registry-p2p');
    assert.equal(copy.metadata.namespace, 'apps');
    assert.equal(copy.type, 'kubernetes.io/dockerconfigjson');
    assert.deepEqual(copy.metadata.ownerReferences, [
      { apiVersion: 'v1', kind: 'Secret', name: 'test-registry', uid: 'u-1' },
    ]);
    assert.ok(isCopy(copy));
    assert.deepEqual(authsOf(copy), { [ACR_P2P]: ENTRY });
  });

  it('keep the older type', () => {
    const copy = pullSecretCopy(
      pullSecret('old', [`https://${ACR}`], { type: 'kubernetes.io/dockercfg' }),
      rules,
    );
    assert.equal(copy?.type, 'kubernetes.io/dockercfg');
    assert.deepEqual(decode(copy.data?.['.dockercfg']), { [ACR_P2P]: ENTRY });
  });

  const keys: [key: string, copied: string | null][] = [
    [ACR, ACR_P2P],
    [`https://${ACR}`, ACR_P2P],
    [`http://${ACR}/`, ACR_P2P],
    [`https://${ACR}/v1/`, ACR_P2P],
    [`https://${ACR}/v2/`, ACR_P2P],
    // Without its slash the kubelet takes /v2 for a repository.
    [`https://${ACR}/v2`, `${ACR_P2P}/v2`],
    [`${ACR}/docker-builder`, `${ACR_P2P}/docker-builder`],
    ['https://index.docker.io/v1/', 'hub.p2p.local:65001'],
    ['registry.example.com:5000', 'p2p.example.com:65001'],
    ['*.cn-hangzhou.cr.aliyuncs.com', '*.distributed.cn-hangzhou.cr.aliyuncs.com:65001'],
    ['*.example.com:5000', 'p2p.example.com:65001'],
    ['*.example.com:5000/team', 'p2p.example.com:65001/team'],
    ['*.example.com', null],
    ['registry.example.com', null],
    ['mirrored.cr.aliyuncs.com', null],
    ['quay.io', null],
    [ACR_P2P, null],
    ['', null],
  ];
  for (const [key, copied] of keys) {
    it(`key ${key || '(empty)'} -> ${String(copied)}`, () => {
      const copy = pullSecretCopy(pullSecret('s', [key]), rules);
      if (copied === null) assert.equal(copy, null);
      else assert.deepEqual(authsOf(copy), { [copied]: ENTRY });
    });
  }

  it('contain only rewritten registries, in a deterministic order', () => {
    const one = pullSecret('s', ['quay.io', ACR, 'registry.example.com:5000']);
    const other = pullSecret('s', ['registry.example.com:5000', ACR, 'quay.io']);
    assert.deepEqual(
      Object.keys(authsOf(pullSecretCopy(one, rules)) as object),
      ['p2p.example.com:65001', ACR_P2P].sort().reverse(),
    );
    assert.equal(
      pullSecretCopy(one, rules)?.data?.['.dockerconfigjson'],
      pullSecretCopy(other, rules)?.data?.['.dockerconfigjson'],
    );
  });

  it('hold all credentials of one registry, under different writings of its key', () => {
    const auths = {
      [ACR]: { auth: 'bare' },
      [`https://${ACR}`]: { auth: 'https' },
      [`https://${ACR}/v1/`]: { auth: 'v1' },
    };
    const secret = { ...pullSecret('s', []), data: { '.dockerconfigjson': encode({ auths }) } };
    assert.deepEqual(authsOf(pullSecretCopy(secret, rules)), {
      [ACR_P2P]: { auth: 'bare' },
      [`https://${ACR_P2P}`]: { auth: 'https' },
      [`http://${ACR_P2P}`]: { auth: 'v1' },
    });
  });

  it('give the kubelet the same credentials in the same order as the original', function () {
    const [program = ''] = kubeAssets.needs(this, 'kubelet-keyring');
    const hosts = [
      'registry.example.com:5000',
      '*.example.com:5000',
      'reg*.example.com:5000',
      'r*y.example.com:5000',
      '*.*.com:5000',
      'docker.io',
      'index.docker.io',
      ACR,
      '*.cn-hangzhou.cr.aliyuncs.com',
      'test-*.cn-hangzhou.cr.aliyuncs.com',
      'quay.io',
      '[a-z]egistry.example.com:5000',
      'registry.example.com:port',
      'robot@registry.example.com:5000',
    ];
    const paths = ['', '/', '//', '/v1/', '/v2/', '/v1', '/v2', '/team', '/team/', '/team/app'];
    const more = ['/v2/team', '/v1/v2/team', '/other', '/te%61m', '/te%zz', '/*', '?x=1', '#x'];
    const key = fc
      .tuple(
        fc.constantFrom('', 'https://', 'http://', 'HTTPS://'),
        fc.constantFrom(...hosts),
        fc.constantFrom(...paths, ...more),
      )
      .map((pieces) => pieces.join(''));
    const images: [image: string, p2pImage: string][] = [
      ['registry.example.com:5000/team/app', 'p2p.example.com:65001/team/app'],
      ['registry.example.com:5000/other:1', 'p2p.example.com:65001/other:1'],
      [`${ACR}/team/app@sha256:${'a'.repeat(64)}`, `${ACR_P2P}/team/app@sha256:${'a'.repeat(64)}`],
      ['docker.io/team/app', 'hub.p2p.local:65001/team/app'],
    ];
    const secrets = fc
      .sample(fc.uniqueArray(key, { minLength: 1, maxLength: 8 }), 800)
      .map((keys) => keys.map((one, at) => [one, { username: `u${at}`, password: 'p' }] as const))
      .map((entries) => {
        const auths = Object.fromEntries(entries);
        const data = { '.dockerconfigjson': encode({ auths }) };
        const copy = pullSecretCopy({ ...pullSecret('s', []), data }, rules);
        return { auths, copied: (copy === null ? {} : authsOf(copy)) as typeof auths };
      });
    const [wanted, found] = [0, 1].map((at) =>
      askKubelet(
        program,
        secrets.map(({ auths, copied }) => ({
          auths: at === 0 ? auths : copied,
          images: images.map((pair) => pair[at]!),
        })),
      ),
    );
    assert.ok(wanted!.flat(2).length > 800, 'the kubelet finds credentials');
    for (const [at, secret] of secrets.entries())
      for (const [index, [image]] of images.entries()) {
        const [original, copy] = [wanted![at]![index]!, found![at]![index]!];
        // Docker Hub's alias is the kubelet's last resort; in a copy it may follow other keys.
        const isExact = original.length === 0 || !image.startsWith('docker.io');
        const compared = isExact ? copy : copy.slice(0, original.length);
        assert.deepEqual(compared, original, `${image}: ${JSON.stringify(secret, null, 1)}`);
      }
  });

  it('use a glob key for every registry that it covers', () => {
    const registries = ['a.example.com', 'b.example.com'].map((host) => ({
      host,
      mode: 'rewrite' as const,
      p2pHost: `p2p-${host}:65001`,
    }));
    const mirrored = { host: 'c.example.com', mode: 'mirror' as const, p2pHost: null };
    assert.deepEqual(
      Object.keys(
        authsOf(
          pullSecretCopy(pullSecret('s', ['*.example.com']), {
            registries: [...registries, mirrored],
            p2pPort: 1,
          }),
        ) as object,
      ),
      ['p2p-b.example.com:65001', 'p2p-a.example.com:65001'],
    );
  });

  const damaged: [string, Secret][] = [
    ['not base64 JSON', { ...pullSecret('s', [ACR]), data: { '.dockerconfigjson': '%%%' } }],
    ['not JSON', { ...pullSecret('s', [ACR]), data: { '.dockerconfigjson': encode('no json') } }],
    ['an array', { ...pullSecret('s', [ACR]), data: { '.dockerconfigjson': encode([1]) } }],
    ['no auths', { ...pullSecret('s', [ACR]), data: { '.dockerconfigjson': encode({}) } }],
    [
      'auths of another type',
      { ...pullSecret('s', [ACR]), data: { '.dockerconfigjson': encode({ auths: 'x' }) } },
    ],
    [
      'an entry that is no object',
      {
        ...pullSecret('s', [ACR]),
        data: { '.dockerconfigjson': encode({ auths: { [ACR]: 'x' } }) },
      },
    ],
    ['another key', { ...pullSecret('s', [ACR]), data: { other: encode({ auths: {} }) } }],
    ['an opaque secret', { ...pullSecret('s', [ACR]), type: 'Opaque' }],
    ['no data', { metadata: { name: 's' }, type: 'kubernetes.io/dockerconfigjson' }],
  ];
  for (const [what, secret] of damaged)
    it(`makes nothing of ${what}`, () => assert.equal(pullSecretCopy(secret, rules), null));

  it('match hosts as the kubelet does', () => {
    assert.ok(holdsCredentialsFor(pullSecret('s', [`https://${ACR}/v1/`]), [ACR]));
    assert.ok(
      holdsCredentialsFor(pullSecret('s', ['*.cn-hangzhou.cr.aliyuncs.com']), ['quay.io', ACR]),
    );
    assert.ok(
      !holdsCredentialsFor(pullSecret('s', ['*.cr.aliyuncs.com']), [ACR]),
      'a star stands for one label',
    );
    assert.ok(!holdsCredentialsFor(pullSecret('s', [ACR]), ['other.cn-hangzhou.cr.aliyuncs.com']));
    assert.ok(
      !holdsCredentialsFor(pullSecret('s', [`${ACR}:5000`]), [ACR]),
      'ports are compared exactly',
    );
    assert.equal(credentialsOf({ metadata: { name: 'x' } }), null);
  });

  it('keep long names distinct and within the limit', () => {
    const [a, b] = [copyName(`${'n'.repeat(250)}-a`), copyName(`${'n'.repeat(250)}-b`)];
    assert.notEqual(a, b);
    for (const name of [a, b, copyName('.'.repeat(250))])
      assert.match(name, /^acr-credential-[a-z0-9.-]*-p2p$/);
    assert.ok(a.length <= 253 && copyName('x'.repeat(234)).length === 253);
  });
});

describe('steps toward a copy', () => {
  const original = pullSecret('s', [ACR], { uid: 'u-1' });
  const copy = pullSecretCopy(original, rules)!;
  const stored = { ...copy, metadata: { ...copy.metadata, resourceVersion: '7', uid: 'c-1' } };

  it('creates, then has nothing to do', () => {
    assert.deepEqual(planCopy(original, null, rules), { kind: 'create', secret: copy });
    assert.deepEqual(planCopy(original, stored, rules), { kind: 'none' });
  });

  it('updates changed credentials at the version that was read', () => {
    const step = planCopy(
      pullSecret('s', [ACR], { uid: 'u-1', entry: { auth: 'changed' } }),
      stored,
      rules,
    );
    assert.ok(step.kind === 'update');
    assert.equal(step.secret.metadata.resourceVersion, '7');
    assert.deepEqual(authsOf(step.secret), { [ACR_P2P]: { auth: 'changed' } });
  });

  it('follows a recreated original: owner, and type by replacing', () => {
    assert.equal(planCopy(pullSecret('s', [ACR], { uid: 'u-2' }), stored, rules).kind, 'update');
    assert.equal(
      planCopy(
        pullSecret('s', [ACR], { type: 'kubernetes.io/dockercfg', uid: 'u-2' }),
        stored,
        rules,
      ).kind,
      'replace',
    );
    assert.equal(
      planCopy(original, { ...stored, immutable: true, data: {} }, rules).kind,
      'replace',
    );
  });

  it('removes the copy when the original is gone or has no matching credentials', () => {
    assert.equal(planCopy(null, stored, rules).kind, 'remove');
    assert.equal(planCopy(pullSecret('s', ['quay.io']), stored, rules).kind, 'remove');
    assert.equal(planCopy(null, null, rules).kind, 'none');
  });

  it("leaves somebody else's secret of that name alone", () => {
    const foreign = pullSecret('acr-credential-s-p2p', [ACR_P2P]);
    assert.equal(planCopy(original, foreign, rules).kind, 'none');
    assert.equal(planCopy(null, foreign, rules).kind, 'none');
  });

  it('never copies a copy', () => assert.equal(pullSecretCopy(stored, rules), null));
});
