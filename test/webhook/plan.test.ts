import assert from 'node:assert/strict';
import { podPatch, readReview } from '../../lib/webhook/admission.ts';
import { planPod, surveyPod, type SkipReason } from '../../lib/webhook/plan.ts';
import type { Pod } from '../../lib/webhook/pod.ts';
import { applyPatch } from './patch.ts';
import { ACR, ACR_P2P, rules } from './rules.ts';

const IMAGE = `${ACR}/team/app:1`;
const podWith = (spec: Partial<Pod['spec']>, metadata: Pod['metadata'] = {}): Pod => ({
  metadata,
  spec: { containers: [{ name: 'a', image: IMAGE }], ...spec },
});
const affinity = (operator: string, key: string, values: string[]): Pod['spec']['affinity'] => ({
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [{ key, operator, values }] }],
    },
  },
});
const image = (name: string, imagePullPolicy?: string): Partial<Pod['spec']> => ({
  containers: [
    { name: 'a', image: name, ...(imagePullPolicy === undefined ? {} : { imagePullPolicy }) },
  ],
});

describe('what is left alone although a rule matches', () => {
  const cases: [what: string, pod: Pod, reason: SkipReason][] = [
    ['imagePullPolicy Never', podWith(image(IMAGE, 'Never')), 'pull-policy-never'],
    ['an image ID', podWith(image('a'.repeat(64))), 'image-id'],
    ['an image ID with its algorithm', podWith(image(`sha256:${'a'.repeat(64)}`)), 'image-id'],
    [
      'an image volume that is never pulled',
      podWith({
        containers: [{ name: 'a', image: 'quay.io/a' }],
        volumes: [{ name: 'm', image: { reference: IMAGE, pullPolicy: 'Never' } }],
      }),
      'pull-policy-never',
    ],
    ['a Windows pod', podWith({ os: { name: 'windows' } }), 'windows'],
    [
      'a pod with a selector for Windows',
      podWith({ nodeSelector: { 'kubernetes.io/os': 'windows' } }),
      'windows',
    ],
    [
      'a pod with an affinity for Windows',
      podWith({ affinity: affinity('In', 'kubernetes.io/os', ['windows']) }),
      'windows',
    ],
    [
      'a pod for a virtual kubelet',
      podWith({ nodeSelector: { type: 'virtual-kubelet' } }),
      'virtual-node',
    ],
    ['an ECI pod', podWith({}, { labels: { 'alibabacloud.com/eci': 'true' } }), 'virtual-node'],
    [
      'a Fargate pod',
      podWith({}, { labels: { 'eks.amazonaws.com/fargate-profile': 'fp' } }),
      'virtual-node',
    ],
    [
      'a pod of the Fargate scheduler',
      podWith({ schedulerName: 'fargate-scheduler' }),
      'virtual-node',
    ],
    ['a pod bound to a virtual node', podWith({ nodeName: 'virtual-kubelet-a' }), 'virtual-node'],
    [
      'a name too long for runtimes',
      podWith(image(`${ACR}/${'a'.repeat(240 - ACR.length)}`)),
      'name-too-long',
    ],
  ];
  for (const [what, pod, reason] of cases)
    it(what, () => {
      const { plan, skips } = surveyPod(pod, rules);
      assert.equal(plan, null);
      assert.deepEqual(
        skips.map((skip) => skip.reason),
        [reason],
      );
    });

  const rewritten: [what: string, pod: Pod][] = [
    ['other pull policies', podWith(image(IMAGE, 'IfNotPresent'))],
    ['a Linux pod', podWith({ os: { name: 'linux' } })],
    ['a selector for Linux', podWith({ nodeSelector: { 'kubernetes.io/os': 'linux', pool: 'a' } })],
    [
      'an affinity away from Windows',
      podWith({ affinity: affinity('NotIn', 'kubernetes.io/os', ['windows']) }),
    ],
  ];
  for (const [what, pod] of rewritten)
    it(`not: ${what}`, () => assert.equal(planPod(pod, rules)?.replacements.length, 1));

  it('images that the config excludes', () => {
    const pod = podWith({});
    const excluded = { ...rules, excludedImages: [`${ACR}/team/*`] };
    assert.equal(surveyPod(pod, excluded).skips[0]?.reason, 'excluded-image');
    assert.notEqual(planPod(pod, { ...rules, excludedImages: [`${ACR}/other/*`] }), null);
  });

  it('images of a credential provider, in pods without pull secrets', () => {
    const withImages = (...credentialProviderImages: string[]): typeof rules => ({
      ...rules,
      credentialProviderImages,
    });
    for (const glob of ['*.*.cr.aliyuncs.com', ACR, `https://${ACR}/team`]) {
      const { plan, skips } = surveyPod(podWith({}), withImages(glob));
      assert.equal(plan, null, glob);
      assert.deepEqual(skips, [{ reason: 'credential-provider', detail: IMAGE }]);
    }
    const secret = { imagePullSecrets: [{ name: 'pull' }] };
    assert.notEqual(planPod(podWith(secret), withImages(ACR)), null);
    for (const glob of ['*.cr.aliyuncs.com', `${ACR}/other`, `${ACR}:443`])
      assert.notEqual(planPod(podWith({}), withImages(glob)), null, glob);
  });

  it('images whose P2P host nodes are not configured for', () => {
    const { plan, skips } = surveyPod(podWith({}), {
      ...rules,
      p2pHosts: ['p2p.example.com:65001'],
    });
    assert.equal(plan, null);
    assert.deepEqual(skips, [{ reason: 'host-not-configured', detail: ACR_P2P }]);
    assert.notEqual(planPod(podWith({}), { ...rules, p2pHosts: [ACR_P2P] }), null);
  });

  it('single images of a pod: the others are rewritten', () => {
    const { plan, skips } = surveyPod(
      podWith({
        containers: [
          { name: 'a', image: IMAGE, imagePullPolicy: 'Never' },
          { name: 'b', image: IMAGE },
        ],
      }),
      rules,
    );
    assert.deepEqual(
      plan?.replacements.map(({ name }) => name),
      ['b'],
    );
    assert.equal(skips.length, 1);
  });

  it('whole pods whose nodes refuse one of the P2P hosts', () => {
    const pod = podWith({
      containers: [
        { name: 'a', image: IMAGE },
        { name: 'b', image: 'nginx' },
      ],
    });
    const nodes = {
      refusal: (_: Pod, p2pHost: string) =>
        p2pHost === ACR_P2P ? null : ({ reason: 'node-not-configured', detail: 'n1' } as const),
    };
    const { plan, skips } = surveyPod(pod, rules, nodes);
    assert.equal(plan, null);
    assert.deepEqual(skips, [{ reason: 'node-not-configured', detail: 'n1' }]);
  });
});

describe('image volumes', () => {
  it('are rewritten, named in the annotation, and idempotent', () => {
    const object = {
      metadata: {},
      spec: {
        containers: [{ name: 'a', image: 'quay.io/a' }],
        volumes: [
          { name: 'data', emptyDir: {} },
          { name: 'model', image: { reference: IMAGE } },
        ],
      },
    };
    const { pod } = readReview({
      apiVersion: 'admission.k8s.io/v1',
      request: {
        uid: 'u',
        namespace: 'n',
        operation: 'CREATE',
        resource: { group: '', version: 'v1', resource: 'pods' },
        object,
      },
    });
    const plan = planPod(pod!, rules)!;
    const after = applyPatch(object as Pod, podPatch(pod!, plan, []));
    assert.deepEqual(after.spec.volumes?.[1], {
      name: 'model',
      image: { reference: `${ACR_P2P}/team/app:1` },
    });
    assert.deepEqual(JSON.parse(after.metadata.annotations!['k8s.aliyun.com/p2p-config']!), {
      volumes: [{ name: 'model', image: IMAGE, p2pImage: `${ACR_P2P}/team/app:1` }],
    });
    assert.equal(planPod(after, rules), null);
  });
});
