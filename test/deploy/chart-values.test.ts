import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { parse } from 'yaml';
import type { KubeObject } from '../../lib/cluster/kubernetes/client.ts';
import { parseConfig } from '../../lib/config/load.ts';
import { allowListOf } from '../../lib/registry/allow.ts';
import { upstreamsOf } from '../../lib/registry/upstream.ts';
import { splitUrl } from '../../lib/registry/url.ts';
import { parseWebhookConfig } from '../../lib/webhook/config.ts';
import { CHART, renderChart } from '../../deploy/render.ts';
import { kubeAssets } from '../kube/assets.ts';
import { find, objectsOf, template } from './chart.ts';

describe("the chart's values", () => {
  let helm: string;
  before(function () {
    [helm = ''] = kubeAssets.needs(this, 'helm');
  });

  const refused: [values: string, message: RegExp][] = [
    ['p2p: {v2: {p2pPort: 65001}}', /p2pPort and p2p\.v2\.proxyPort are both 65001/],
    ['p2p: {v2: {exporter: {enable: true, port: 65002}}}', /are both 65002/],
    ['p2p: {v2: {cache: {memory: 1073741824}}}', /agent\.resources\.limits\.memory is 1073741824/],
    ['agent: {resources: {limits: {memory: 400M}}}', /is 400000000 bytes/],
    ['root: {enabled: true, cache: {memory: 4294967296}}', /root\.resources\.limits\.memory/],
    [`p2p: {v2: {image: "a/b@sha256:${'a'.repeat(64)}", imageTag: x}}`, /imageTag must be empty/],
    ['registries: [{host: a.example, mode: mirror, p2pHost: "p:1"}]', /remove one of them/],
    ['registries: [{host: "*.a.example", p2pHost: "p:1"}]', /needs an upstream/],
    ['registries: [{host: "*.a.example", proxy: "http://p:1"}]', /\(proxy\), but no upstream/],
    [
      'registries: [{host: a.example}, {host: a.example, ca: {secret: a}}]',
      /another entry with the same name decides/,
    ],
    ['registries: [{host: "a.example:5", p2pHost: "a.example:5"}]', /must be another name/],
    [
      'registries: [{host: a.example, p2pHost: "p:1"}]\ncontainerd: {configure: false}',
      /containerd\.hosts does not list it; pods could not pull/,
    ],
    ['agent: {hostNetwork: false}\nnetworkPolicy: {enabled: false}', /opens the proxy port/],
    ['serviceMonitor: {enabled: true}', /needs p2p\.v2\.exporter\.enable/],
    [
      'registries: [{host: a.example, p2pHost: "p:1"}, {host: b.example, p2pHost: "p:1"}]',
      /p2pHost p:1 leads to https:\/\/a\.example and to https:\/\/b\.example/,
    ],
    ...['"reg.example:5000"', '10.0.0.1', '"[fd00::1]:5000"', 'localhost'].map(
      (host): [string, RegExp] => [
        `registries: [{host: ${host}, mode: rewrite}]`,
        /add a p2pHost, or take mode mirror/,
      ],
    ),
    ['registries: [{host: a.example}, {host: A.example}]', /two entries have the host A\.example/],
    ...['/', '/etc', '/usr/x', '/var/lib', '/var/lib/shoal/..', '/var//lib/x', '/home/'].map(
      (path): [string, RegExp] => [
        `p2p: {v2: {cache: {hostPath: ${path}}}}`,
        /agents become the owner of this directory/,
      ],
    ),
    [
      'p2p: {v2: {cache: {hostPath: /data, runtimeStore: /data/containerd/content}}}',
      /which holds containerd's \/data\/containerd\/content/,
    ],
    ['p2p: {v2: {proxyPort: 443}}', /proxyPort is 443; .* no right to ports below 1024/],
    ['agent: {updateStrategy: {type: Canary}}', /type is Canary; a DaemonSet knows/],
    ['trustedCA: {secret: a, configMap: b}', /keep one of them/],
    ['agent: {podLabels: {app.kubernetes.io/name: x}}', /is the chart's own/],
    ['webhook: {resources: {limits: {memory: 64Mi}}}', /webhook needs at least/],
    ['startupTaint: {enabled: true}', /needs nodes that the chart configures/],
  ];
  for (const [values, message] of refused) {
    it(`refuses ${values}`, () => {
      const { status, stderr } = template(helm, values);
      assert.notEqual(status, 0);
      assert.match(stderr, message);
    });
  }

  const accepted = [
    'agent: {resources: {limits: null}}',
    'agent: {resources: {limits: {cpu: null, memory: 512Mi}}}',
    'agent: {tolerations: null}',
    'webhook: {excludedImages: null, credentialProviderImages: null}',
    'registries: [{host: a.example, p2pHost: "p:1"}]\ncontainerd: {configure: false, ' +
      'hosts: ["p:1"]}',
    'p2p: {v2: {allow: ["*.example:8443", "10.0.0.1", "[fd00::1]:5000"]}}',
    'p2p: {v2: {exporter: {port: 65002}}}',
    'agent: {resources: {limits: {memory: 1e9}}}',
    'p2p: {v2: {cache: {hostPath: /var/lib/rancher/shoal}}}',
    'registries: [{host: "*.a.example", p2pHost: "p:1", upstream: "https://a"}, ' +
      '{host: a.example, p2pHost: "p:1", upstream: "https://a/"}]',
  ];
  for (const values of accepted)
    it(`accepts ${values}`, () => {
      const { status, stderr } = template(helm, values);
      assert.equal(status, 0, stderr);
    });

  it('names its image by tag or digest, from the registry that the parent chart names', () => {
    const digest = `@sha256:${'a'.repeat(64)}`;
    const cases: [values: string, image: string][] = [
      ['{image: shoal}', 'shoal:0.1.0'],
      [`{image: "reg.example/shoal${digest}"}`, `reg.example/shoal${digest}`],
      ['{image: "reg.example:5000/a/shoal", imageTag: v1}', 'reg.example:5000/a/shoal:v1'],
    ];
    for (const [values, image] of cases) {
      const { stdout } = template(helm, `p2p: {v2: ${values}}`);
      assert.deepEqual(imagesOf(stdout), new Set([image]));
    }
    const { stdout } = template(
      helm,
      'global: {imageRegistry: mirror.example:5000}\np2p: {v2: {image: reg.example/a/shoal}}',
    );
    assert.deepEqual(imagesOf(stdout), new Set(['mirror.example:5000/a/shoal:0.1.0']));
  });

  const imagesOf = (text: string): Set<string> =>
    new Set([...text.matchAll(/^ +image: (.*)$/gm)].map(([, image]) => image!));

  it('rewrites only to P2P hosts that it configures on nodes', () => {
    const p2pHosts = (values: string): string[] | undefined => {
      const { stdout, stderr } = template(helm, values);
      assert.equal(stderr, '');
      const text = (
        find(objectsOf(stdout), 'ConfigMap', /webhook/) as KubeObject & {
          data: Record<string, string>;
        }
      ).data['webhook.yaml']!;
      const config = parseWebhookConfig(text);
      const sidecar = stdout.includes('containerd-config');
      assert.equal(config.nodeReports, sidecar, 'reports come from the sidecar');
      return config.p2pHosts;
    };
    assert.deepEqual(p2pHosts(''), []);
    assert.deepEqual(p2pHosts('registries: [{host: x.cn-hangzhou.cr.aliyuncs.com}]'), [
      'x.distributed.cn-hangzhou.cr.aliyuncs.com:65001',
    ]);
    assert.deepEqual(p2pHosts('registries: [{host: a.example, p2pHost: "p2p.example:65001"}]'), [
      'p2p.example:65001',
    ]);
    assert.deepEqual(p2pHosts('registries: [{host: A.example, p2pHost: "P2P.example:65001"}]'), [
      'p2p.example:65001',
    ]);
    assert.deepEqual(p2pHosts('registries: [{host: docker.io}]'), []);
    assert.deepEqual(
      p2pHosts('containerd: {hosts: ["x.distributed.cn-hangzhou.cr.aliyuncs.com:65001"]}'),
      ['x.distributed.cn-hangzhou.cr.aliyuncs.com:65001'],
    );
  });

  it('closes the proxy port to other pods in the pod network', () => {
    const objects = objectsOf(renderChart(helm, ['agent.hostNetwork=false']));
    const policy = find(objects, 'NetworkPolicy', /agent/) as KubeObject & {
      spec: { ingress: { ports: { port: number }[] }[] };
    };
    const open = policy.spec.ingress.flatMap(({ ports }) => ports.map(({ port }) => port));
    assert.deepEqual(open, [65_002]);
  });

  it('accepts accessCheck: off, which Helm reads as a boolean', () => {
    for (const [given, meant] of [
      ['strict', 'strict'],
      ['off', 'off'],
      ['"off"', 'off'],
    ]) {
      const objects = objectsOf(
        execFileSync(helm, ['template', 'shoal', CHART, '--kube-version', '1.34.0', '-f', '-'], {
          encoding: 'utf8',
          input: `p2p: {v2: {accessCheck: ${given}}}`,
        }),
      );
      const config = parse(
        (find(objects, 'ConfigMap', /node/) as KubeObject & { data: Record<string, string> }).data[
          'agent.yaml'
        ]!,
      ) as { ProxyConfig: { accessCheck: string } };
      assert.equal(config.ProxyConfig.accessCheck, meant);
    }
  });

  it('gives nodes an upstream for every rewritten registry', () => {
    const registries = [
      { host: 'reg.example.com', mode: 'rewrite' },
      { host: '*.corp.example', mode: 'rewrite' },
      { host: 'named.example.com:5000', p2pHost: 'p2p.local:65001' },
      {
        host: 'alias.example.com:5000',
        p2pHost: 'p2p.local:65001',
        upstream: 'https://named.example.com:5000',
      },
      { host: 'inner.example.com', upstream: 'http://10.0.0.7:5000' },
      { host: 'hub.mirror.example', mode: 'mirror' },
      { host: 'docker.io' },
      { host: '*.left.example', mode: 'mirror' },
      { host: 'stored.example', storage: ['*.s3.example'] },
    ];
    const text = execFileSync(
      helm,
      [
        'template',
        'shoal',
        CHART,
        '--kube-version',
        '1.34.0',
        '--set-json',
        `registries=${JSON.stringify(registries)}`,
      ],
      { encoding: 'utf8' },
    );
    const node = (
      find(objectsOf(text), 'ConfigMap', /node/) as KubeObject & { data: Record<string, string> }
    ).data['agent.yaml']!;
    const { ProxyConfig } = parseConfig(parse(node) as Record<string, unknown>, {
      env: { NODE_IP: '10.0.0.1' },
    });
    const ways: [asked: string, origin: string][] = [
      ['reg.distributed.example.com:65001', 'https://reg.example.com'],
      ['a.distributed.corp.example:65001', 'https://a.corp.example'],
      ['p2p.local:65001', 'https://named.example.com:5000'],
      ['inner.distributed.example.com:65001', 'http://10.0.0.7:5000'],
      ['hub.mirror.example', 'https://hub.mirror.example'],
      ['docker.distributed.io:65001', 'https://registry-1.docker.io'],
    ];
    for (const [asked, origin] of ways) {
      assert.equal(upstreamsOf(ProxyConfig).find(asked, '127.0.0.1:65001'), origin);
      const { hostname, port } = splitUrl(origin);
      assert.ok(allowListOf(ProxyConfig).mayAsk(hostname, port), `${origin} may be dialled`);
    }
    assert.deepEqual(
      ProxyConfig.registries.find(({ p2pHost }) => p2pHost === 'stored.example'),
      { p2pHost: 'stored.example', upstream: 'https://stored.example', storage: ['*.s3.example'] },
    );
    assert.ok(
      !allowListOf(ProxyConfig).names('a.left.example', 443),
      'a mirror of who knows how many registries is not opened unasked',
    );
  });

  it('mounts what the connection to a registry needs in agents and roots, and nowhere else', () => {
    const registries = [
      { host: 'plain.example', mode: 'mirror' },
      {
        host: 'own.example:5000',
        mode: 'mirror',
        upstreams: ['https://near.example'],
        ca: { configMap: 'own-ca' },
        clientCertSecret: 'own-client',
        credentialsSecret: 'own-login',
        proxy: 'http://proxy.example:3128',
        headers: { 'x-tenant': 'a' },
        insecureSkipVerify: true,
      },
    ];
    const args = [
      '--set',
      'root.enabled=true',
      '--set-json',
      `registries=${JSON.stringify(registries)}`,
    ];
    const text = execFileSync(
      helm,
      ['template', 'shoal', CHART, '--kube-version', '1.34.0', ...args],
      { encoding: 'utf8' },
    );
    const objects = objectsOf(text);
    const { data } = find(objects, 'ConfigMap', /node/) as KubeObject & {
      data: Record<string, string>;
    };
    for (const [kind, file] of [
      ['DaemonSet', 'agent.yaml'],
      ['StatefulSet', 'root.yaml'],
    ] as const) {
      const config = parse(data[file]!) as Record<string, unknown>;
      const { ProxyConfig } = parseConfig(config, { env: { NODE_IP: '10.0.0.1' } });
      const entry = ProxyConfig.registries.find(({ p2pHost }) => p2pHost === 'own.example:5000')!;
      const { proxy, headers, upstreams, insecureSkipVerify } = entry;
      assert.deepEqual(
        [proxy, headers, upstreams, insecureSkipVerify],
        ['http://proxy.example:3128', { 'x-tenant': 'a' }, ['https://near.example'], true],
      );
      const { volumes, containers } = (
        find(objects, kind) as unknown as { spec: { template: { spec: NodePod } } }
      ).spec.template.spec;
      const sourceOf = (path = ''): string => {
        const { name } = containers[0]!.volumeMounts.find(({ mountPath }) =>
          path.startsWith(`${mountPath}/`),
        )!;
        const volume = volumes.find((one) => one.name === name)!;
        return volume.secret?.secretName ?? volume.configMap?.name ?? '';
      };
      assert.deepEqual(
        [entry.caFile, entry.clientCertFile, entry.clientKeyFile, entry.credentialsFile].map(
          (path) => `${sourceOf(path)} ${path!.split('/').at(-1)}`,
        ),
        [
          'own-ca ca.crt',
          'own-client tls.crt',
          'own-client tls.key',
          'own-login .dockerconfigjson',
        ],
      );
    }
    assert.ok(!JSON.stringify(find(objects, 'Deployment')).includes('own-login'));
  });
});

interface NodePod {
  volumes: { name: string; secret?: { secretName: string }; configMap?: { name: string } }[];
  containers: { volumeMounts: { name: string; mountPath: string }[] }[];
}
