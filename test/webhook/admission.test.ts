import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  isAccelerated,
  mislabelled,
  MODE_KEY,
  P2P_CONFIG_ANNOTATION,
  planPod,
  podPatch,
  readReview,
  reviewAnswer,
  type Pod,
} from '../../lib/webhook/admission.ts';
import { applyPatch } from './patch.ts';
import { ACR, ACR_P2P, rules } from './rules.ts';

const pod = (
  images: string[],
  more: { init?: string[]; secrets?: string[]; metadata?: Pod['metadata'] } = {},
): Pod => ({
  metadata: more.metadata ?? {},
  spec: {
    containers: images.map((image, index) => ({ name: `c${index}`, image })),
    ...(more.init === undefined
      ? {}
      : { initContainers: more.init.map((image, index) => ({ name: `i${index}`, image })) }),
    ...(more.secrets === undefined
      ? {}
      : { imagePullSecrets: more.secrets.map((name) => ({ name })) }),
  },
});

export const review = (object: unknown, request: object = {}): object => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: 'uid-1',
    operation: 'CREATE',
    resource: { group: '', version: 'v1', resource: 'pods' },
    namespace: 'apps',
    object,
    ...request,
  },
});

const pairs = [{ name: 'test-registry', p2pName: 'acr-credential-test-registry-p2p' }];

describe('which pods are accelerated', () => {
  const cases: [label: string | undefined, entry: 'pod' | 'namespace', expected: boolean][] = [
    ['p2p', 'pod', true],
    ['p2p', 'namespace', true],
    [undefined, 'namespace', true],
    [undefined, 'pod', false],
    ['off', 'namespace', false],
    ['', 'namespace', false],
    ['P2P', 'pod', false],
    ['on-demand', 'pod', false],
  ];
  for (const [label, entry, expected] of cases) {
    it(`label ${String(label)} by the ${entry} entry: ${expected}`, () => {
      assert.equal(
        isAccelerated(
          pod([], { metadata: label === undefined ? {} : { labels: { [MODE_KEY]: label } } }),
          entry,
        ),
        expected,
      );
    });
  }
  it('says what a label means that is neither p2p nor off, and what to set', () => {
    const skipsOf = (label: string): unknown[] =>
      mislabelled(pod([], { metadata: { labels: { [MODE_KEY]: label } } }));
    assert.deepEqual([skipsOf('p2p'), skipsOf('off'), mislabelled(pod([]))], [[], [], []]);
    const detail =
      `${MODE_KEY} is "P2P"; set it to "p2p" on the pod template, or to "off" if that is ` +
      'what is meant';
    assert.deepEqual(skipsOf('P2P'), [{ reason: 'label', detail }]);
  });
  it('never changes a mirror pod', () => {
    const metadata = {
      labels: { [MODE_KEY]: 'p2p' },
      annotations: { 'kubernetes.io/config.mirror': 'x' },
    };
    assert.equal(isAccelerated(pod([], { metadata }), 'pod'), false);
  });
});

describe('pod rewriting', () => {
  it('rewrites the documented example field by field', () => {
    const before = pod([`${ACR}/docker-builder/nginx:latest`], {
      secrets: ['test-registry'],
      metadata: { labels: { app: 'nginx', [MODE_KEY]: 'p2p' } },
    });
    const plan = planPod(before, rules);
    assert.deepEqual(plan?.registryHosts, [ACR]);
    assert.deepEqual(plan.pullSecrets, ['test-registry']);
    const after = applyPatch(before, podPatch(before, plan, pairs));
    assert.equal(after.spec.containers[0]?.image, `${ACR_P2P}/docker-builder/nginx:latest`);
    assert.deepEqual(after.spec.imagePullSecrets, [
      { name: 'test-registry' },
      { name: 'acr-credential-test-registry-p2p' },
    ]);
    assert.equal(after.metadata.annotations?.[MODE_KEY], 'p2p');
    assert.deepEqual(JSON.parse(after.metadata.annotations[P2P_CONFIG_ANNOTATION]!), {
      containers: [
        {
          name: 'c0',
          image: `${ACR}/docker-builder/nginx:latest`,
          p2pImage: `${ACR_P2P}/docker-builder/nginx:latest`,
        },
      ],
      imagePullSecrets: pairs,
    });
    assert.deepEqual(after.metadata.labels, before.metadata.labels);
  });

  it('replaces images of several registries in containers and init containers only', () => {
    const before = pod([`${ACR}/a:1`, 'quay.io/b:2', 'nginx'], {
      init: [
        'registry.example.com:5000/i@sha256:' + 'a'.repeat(64),
        'mirrored.cr.aliyuncs.com/m',
        `${ACR_P2P}/done:1`,
      ],
    });
    const plan = planPod(before, rules)!;
    const after = applyPatch(before, podPatch(before, plan, []));
    assert.deepEqual(
      after.spec.containers.map(({ image }) => image),
      [`${ACR_P2P}/a:1`, 'quay.io/b:2', 'hub.p2p.local:65001/library/nginx'],
    );
    assert.deepEqual(
      after.spec.initContainers?.map(({ image }) => image),
      [
        'p2p.example.com:65001/i@sha256:' + 'a'.repeat(64),
        'mirrored.cr.aliyuncs.com/m',
        `${ACR_P2P}/done:1`,
      ],
    );
    assert.deepEqual(
      [...plan.registryHosts].sort(),
      [ACR, 'docker.io', 'registry.example.com:5000'].sort(),
    );
    assert.equal(after.spec.imagePullSecrets, undefined);
  });

  const untouched: [string, Pod][] = [
    ['foreign images', pod(['quay.io/a', 'ghcr.io/b:1'])],
    ['P2P addresses', pod([`${ACR_P2P}/a:1`])],
    ['what is no reference', pod(['', 'UPPER', 'régistre.cr.aliyuncs.com/a', `${ACR}/a b`])],
    ['a container without image', { metadata: {}, spec: { containers: [{ name: 'c' }] } }],
    ['no containers', pod([])],
  ];
  for (const [what, subject] of untouched)
    it(`leaves ${what} alone`, () => assert.equal(planPod(subject, rules), null));

  it('is idempotent: a second pass finds nothing', () => {
    const before = pod([`${ACR}/a:1`], { init: [`${ACR}/b:1`], secrets: ['test-registry'] });
    const after = applyPatch(before, podPatch(before, planPod(before, rules)!, pairs));
    assert.equal(planPod(after, rules), null);
  });

  it('merges with an earlier pass when another webhook has added a container', () => {
    const first = pod([`${ACR}/a:1`], { secrets: ['test-registry'] });
    const rewritten = applyPatch(first, podPatch(first, planPod(first, rules)!, pairs));
    rewritten.spec.containers.push({ name: 'sidecar', image: `${ACR}/s:1` });
    const plan = planPod(rewritten, rules)!;
    assert.equal(plan.replacements.length, 1);
    const after = applyPatch(rewritten, podPatch(rewritten, plan, pairs));
    assert.equal(after.spec.imagePullSecrets?.length, 2, 'the copy is not named twice');
    const config = JSON.parse(after.metadata.annotations![P2P_CONFIG_ANNOTATION]!) as {
      containers: { name: string }[];
      imagePullSecrets: object[];
    };
    assert.deepEqual(
      config.containers.map(({ name }) => name),
      ['c0', 'sidecar'],
    );
    assert.deepEqual(config.imagePullSecrets, pairs);
  });

  it('keeps other annotations and replaces an invalid p2p-config', () => {
    for (const damaged of [
      'no json',
      '[]',
      '{"containers":[1,{"name":2}]}',
      '{"containers":{}}',
      'null',
    ]) {
      const before = pod([`${ACR}/a:1`], {
        metadata: { annotations: { 'a/b~c': 'x', [P2P_CONFIG_ANNOTATION]: damaged } },
      });
      const after = applyPatch(before, podPatch(before, planPod(before, rules)!, []));
      assert.equal(after.metadata.annotations?.['a/b~c'], 'x');
      assert.equal(
        (JSON.parse(after.metadata.annotations[P2P_CONFIG_ANNOTATION]!) as { containers: object[] })
          .containers.length,
        1,
      );
    }
  });

  it('does not exceed the API limit on annotations', () => {
    const at = (bytes: number): Pod =>
      pod([`${ACR}/a:1`], { metadata: { annotations: { big: 'x'.repeat(bytes) } } });
    const patchOf = (subject: Pod) => podPatch(subject, planPod(subject, rules)!, []);
    assert.throws(() => patchOf(at(256 * 1024 - 100)), { code: 'BAD_REQUEST' });
    assert.ok(patchOf(at(200_000)).length > 0);
  });
});

describe('admission reviews', () => {
  it('reads a pod creation with null lists', () => {
    const read = readReview(
      review(
        {
          metadata: { annotations: null },
          spec: { containers: [{ name: 'c', image: `${ACR}/a` }], imagePullSecrets: null },
        },
        { dryRun: true },
      ),
    );
    assert.equal(read.uid, 'uid-1');
    assert.equal(read.dryRun, true);
    assert.equal(read.namespace, 'apps');
    assert.deepEqual(read.pod, {
      metadata: {},
      spec: { containers: [{ name: 'c', image: `${ACR}/a` }] },
    });
  });

  it('ignores everything but the creation of pods', () => {
    const some = { metadata: {}, spec: { containers: [] } };
    assert.equal(readReview(review(some, { operation: 'UPDATE' })).pod, null);
    assert.equal(readReview(review(some, { subResource: 'ephemeralcontainers' })).pod, null);
    assert.equal(
      readReview(
        review(some, { resource: { group: 'apps', version: 'v1', resource: 'deployments' } }),
      ).pod,
      null,
    );
  });

  const malformed: [string, unknown][] = [
    ['nothing', undefined],
    ['null', null],
    ['a string', 'x'],
    ['another version', { ...review({}), apiVersion: 'admission.k8s.io/v1beta1' }],
    ['no request', { apiVersion: 'admission.k8s.io/v1' }],
    ['a uid that is none', review({}, { uid: 7 })],
    ['no object', review(null)],
    ['no spec', review({ metadata: {} })],
    ['containers that are none', review({ metadata: {}, spec: { containers: 'x' } })],
    ['a container that is a number', review({ metadata: {}, spec: { containers: [1] } })],
    [
      'an image that is a number',
      review({ metadata: {}, spec: { containers: [{ name: 'a', image: 1 }] } }),
    ],
    ['labels that are a list', review({ metadata: { labels: [] }, spec: { containers: [] } })],
    [
      'secrets that are text',
      review({ metadata: {}, spec: { containers: [], imagePullSecrets: 'x' } }),
    ],
  ];
  for (const [what, body] of malformed)
    it(`says of ${what} that it is malformed`, () =>
      assert.throws(() => readReview(body), { code: 'BAD_REQUEST' }));

  it('throws nothing but BAD_REQUEST for any input', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (object, spec) => {
        for (const body of [
          object,
          review(object),
          review({ metadata: object, spec }),
          review({ metadata: {}, spec: { containers: object, initContainers: spec } }),
        ]) {
          try {
            const { pod: read } = readReview(body);
            const plan = read === null ? null : planPod(read, rules);
            if (read !== null && plan !== null) podPatch(read, plan, []);
          } catch (error) {
            assert.equal((error as { code?: string }).code, 'BAD_REQUEST', String(error));
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('answers with patch and patch type together, or with neither', () => {
    const none = reviewAnswer('u', null) as { response: object };
    assert.deepEqual(none.response, { uid: 'u', allowed: true });
    const some = reviewAnswer('u', [{ op: 'add', path: '/x', value: 1 }]) as {
      response: { patch: string; patchType: string };
    };
    assert.equal(some.response.patchType, 'JSONPatch');
    assert.deepEqual(JSON.parse(Buffer.from(some.response.patch, 'base64').toString()), [
      { op: 'add', path: '/x', value: 1 },
    ]);
  });
});
