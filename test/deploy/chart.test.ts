import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';
import {
  MUTATING_WEBHOOKS,
  SECRETS,
  type KubeObject,
} from '../../lib/cluster/kubernetes/client.ts';
import { parseConfig } from '../../lib/config/load.ts';
import { allowListOf } from '../../lib/registry/allow.ts';
import { upstreamsOf } from '../../lib/registry/upstream.ts';
import { splitUrl } from '../../lib/registry/url.ts';
import { parseWebhookConfig } from '../../lib/webhook/config.ts';
import { CHART, manifests, readme, renderChart } from '../../deploy/render.ts';
import { ApiServer, freePorts } from '../kube/api-server.ts';
import { kubeAssets } from '../kube/assets.ts';
import { eventually } from '../kube/eventually.ts';

/**
 * The values block of the DADI agent's documentation, unchanged but for the image, which is not ours to
 * name.
 */
const DADI_VALUES = `
p2p:
  v2:
    # Component for P2P v2
    image: registry-vpc.__ACK_REGION_ID__.aliyuncs.com/acs/dadi-agent
    imageTag: v0.1.2-72276d4-aliyun
    # Concurrency limit number of layers downloading by each node proxy
    proxyConcurrencyLimit: 128
    # The server port to communicate with P2P nodes
    p2pPort: 65002
    cache:
      # Disk cache capacity in bytes, default 4GB
      capacity: 4294967296
      # Set to 1 if you are using high-performance disks on your ECS, e.g. ESSD PL2/PL3
      aioEnable: 0
    exporter:
      # Set to true if you want to collect component metrics
      enable: false
      port: 65003
    # limit for downstream throughput
    throttleLimitMB: 512
`;

const EVERYTHING = [
  'root.enabled=true',
  'p2p.v2.exporter.enable=true',
  'serviceMonitor.enabled=true',
  'agent.hostNetwork=false',
  'agent.nodeSelector.pool=a',
  'imagePullSecrets[0].name=own',
  'agent.podLabels.team=infra',
  'agent.extraEnv[0].name=HTTPS_PROXY',
  'agent.extraEnv[0].value=http://proxy.example:3128',
  'agent.extraVolumes[0].name=more',
  'agent.extraVolumes[0].emptyDir.sizeLimit=1Mi',
  'agent.extraVolumeMounts[0].name=more',
  'agent.extraVolumeMounts[0].mountPath=/more',
  'agent.podSecurityContext.seLinuxOptions.type=spc_t',
  'agent.updateStrategy.type=OnDelete',
  'trustedCA.secret=own-ca',
  'startupTaint.enabled=true',
  'criticalQuota=true',
  'webhook.secretNamespaces={apps,more}',
  'webhook.excludedImages={reg.example.com/preloaded/*}',
  'containerd.hosts={reg.example.com,reg.distributed.example.com:65001}',
  'registries[0].host=reg.example.com:5000',
  'registries[0].p2pHost=p2p.local:65001',
  'registries[0].upstream=http://reg.example.com:5000',
  'registries[1].host=mirrored.example.com',
  'registries[1].mode=mirror',
];

const objectsOf = (text: string): KubeObject[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);
const find = (objects: KubeObject[], kind: string, name: RegExp = /./): KubeObject => {
  const found = objects.find((object) => object.kind === kind && name.test(object.metadata.name));
  assert.ok(found, `no ${kind} ${String(name)}`);
  return found;
};

describe('the chart', () => {
  let helm: string;
  before(function () {
    [helm = ''] = kubeAssets.needs(this, 'helm');
  });

  it('passes helm lint', () => {
    assert.match(
      execFileSync(helm, ['lint', '--strict', CHART], { encoding: 'utf8' }),
      /0 chart\(s\) failed/,
    );
  });

  it("takes the DADI agent's values block", () => {
    const objects = objectsOf(
      execFileSync(
        helm,
        ['template', 'shoal', CHART, '-n', 'shoal', '--kube-version', '1.34.0', '-f', '-'],
        { encoding: 'utf8', input: DADI_VALUES },
      ),
    );
    const agent = find(objects, 'DaemonSet') as KubeObject & {
      spec: { template: { spec: { containers: { image: string }[] } } };
    };
    assert.equal(
      agent.spec.template.spec.containers[0]?.image,
      'registry-vpc.__ACK_REGION_ID__.aliyuncs.com/acs/dadi-agent:v0.1.2-72276d4-aliyun',
    );
    const config = (
      find(objects, 'ConfigMap', /node/) as KubeObject & { data: Record<string, string> }
    ).data['agent.yaml']!;
    const { ProxyConfig, P2PConfig, CacheConfig, ExporterConfig } = parse(config) as Record<
      string,
      Record<string, unknown>
    >;
    assert.deepEqual(
      [
        ProxyConfig!['proxyConcurrencyLimit'],
        ProxyConfig!['throttleLimitMB'],
        P2PConfig!['port'],
        CacheConfig!['capacity'],
        CacheConfig!['aioEnable'],
      ],
      [128, 512, 65_002, 4_294_967_296, 0],
    );
    assert.deepEqual(ExporterConfig, { enable: false, port: 65_003, standaloneExporterPort: true });
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

  const refused: [values: string, message: RegExp][] = [
    ...[
      'p2p: {v2: {cache: {capacity: lots}}}',
      'p2p: {v2: {p2pport: 1}}',
      'p2p: {v2: {cache: {aioEnable: 2}}}',
      'p2p: {v2: {throttleLimitMB: -1}}',
      'p2p: {v2: {throttleLimitMB: 2000000}}',
      'p2p: {v2: {p2pPort: 70000}}',
      'p2p: {v2: {p2pPort: null}}',
      'p2p: {v2: {cache: null}}',
      'p2p: {v2: {cache: {memory: null}}}',
      'p2p: null',
      'agent: null',
      'agent: {hostNetwork: null}',
      'agent: {nodeSelector: null}',
      'agent: {maxUnavailable: "0%"}',
      'containerd: {certsDir: null}',
      'registries: null',
      'registries: [null]',
      'registries: [{host: a.example, mode: other}]',
      'registries: [{host: "https://a.example"}]',
      'registries: [{host: a.example/team}]',
      'registries: [{host: "a.example:99999"}]',
      'registries: [{host: a.example, p2pHost: no.port}]',
      'registries: [{host: a.example, p2pHost: "https://p2p.example:65001"}]',
      'registries: [{host: a.example, upstream: a.example}]',
      'registries: [{host: a.example, upstream: "https://a.example/v2"}]',
      'p2p: {v2: {allow: ["https://a.example"]}}',
      'p2p: {v2: {allow: [a.example/x]}}',
      'p2p: {v2: {allow: [""]}}',
      'p2p: {v2: {image: "https://a.example/shoal"}}',
      'p2p: {v2: {imageTag: "sha256:0123"}}',
      'global: {imageRegistry: "https://a.example"}',
      ...['*.cr.aliyuncs.com', 'https://docker.io', 'docker.io/library', '', 'a..b', 'a:0'].map(
        (host) => `containerd: {hosts: [${JSON.stringify(host)}]}`,
      ),
      'webhook: {replicas: 0}',
      'webhook: {excludedNamespaces: ["Not A Name"]}',
      'networkPolicy: {apiServerPorts: []}',
      'unknown: 1',
    ].map((values): [string, RegExp] => [
      values,
      /values don't meet the specifications of the schema/,
    ]),
    ['p2p: {v2: {p2pPort: 65001}}', /p2pPort and p2p\.v2\.proxyPort are both 65001/],
    ['p2p: {v2: {exporter: {enable: true, port: 65002}}}', /are both 65002/],
    ['p2p: {v2: {cache: {memory: 1073741824}}}', /agent\.resources\.limits\.memory is 1073741824/],
    ['agent: {resources: {limits: {memory: 400M}}}', /is 400000000 bytes/],
    ['root: {enabled: true, cache: {memory: 4294967296}}', /root\.resources\.limits\.memory/],
    [`p2p: {v2: {image: "a/b@sha256:${'a'.repeat(64)}", imageTag: x}}`, /imageTag must be empty/],
    ['registries: [{host: a.example, mode: mirror, p2pHost: "p:1"}]', /remove one of them/],
    ['registries: [{host: "*.a.example", p2pHost: "p:1"}]', /needs an upstream/],
    ['registries: [{host: "a.example:5", p2pHost: "a.example:5"}]', /must be another name/],
    [
      'registries: [{host: a.example, p2pHost: "p:1"}]\ncontainerd: {configure: false}',
      /containerd\.hosts does not list it; pods could not pull/,
    ],
    ['agent: {hostNetwork: false}\nnetworkPolicy: {enabled: false}', /opens the proxy port/],
    ['serviceMonitor: {enabled: true}', /needs p2p\.v2\.exporter\.enable/],
    ['startupTaint: {enabled: true}', /needs nodes that the chart configures/],
  ];
  for (const [values, message] of refused) {
    it(`refuses ${values}`, () => {
      const { status, stderr } = template(values);
      assert.notEqual(status, 0);
      assert.match(stderr, message);
    });
  }

  const accepted = [
    'agent: {resources: {limits: null}}',
    'agent: {resources: {limits: {cpu: null, memory: 512Mi}}}',
    'agent: {tolerations: null}',
    'registries: [{host: a.example, p2pHost: "p:1"}]\ncontainerd: {configure: false, hosts: ["p:1"]}',
    'p2p: {v2: {allow: ["*.example:8443", "10.0.0.1", "[fd00::1]:5000"]}}',
    'p2p: {v2: {exporter: {port: 65002}}}',
  ];
  for (const values of accepted)
    it(`accepts ${values}`, () => {
      const { status, stderr } = template(values);
      assert.equal(status, 0, stderr);
    });

  function template(values: string): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(
      helm,
      ['template', 'shoal', CHART, '-n', 'shoal', '--kube-version', '1.34.0', '-f', '-'],
      { encoding: 'utf8', input: `${values}\n` },
    );
  }

  it('names its image by tag or digest, from the registry that the parent chart names', () => {
    const digest = `@sha256:${'a'.repeat(64)}`;
    const cases: [values: string, image: string][] = [
      ['{image: shoal}', 'shoal:0.1.0'],
      [`{image: "reg.example/shoal${digest}"}`, `reg.example/shoal${digest}`],
      ['{image: "reg.example:5000/a/shoal", imageTag: v1}', 'reg.example:5000/a/shoal:v1'],
    ];
    for (const [values, image] of cases) {
      const { stdout } = template(`p2p: {v2: ${values}}`);
      assert.deepEqual(imagesOf(stdout), new Set([image]));
    }
    const { stdout } = template(
      'global: {imageRegistry: mirror.example:5000}\np2p: {v2: {image: reg.example/a/shoal}}',
    );
    assert.deepEqual(imagesOf(stdout), new Set(['mirror.example:5000/a/shoal:0.1.0']));
  });

  const imagesOf = (text: string): Set<string> =>
    new Set([...text.matchAll(/^ +image: (.*)$/gm)].map(([, image]) => image!));

  it('rewrites only to P2P hosts that it configures on nodes', () => {
    const p2pHosts = (values: string): string[] | undefined => {
      const { stdout, stderr } = template(values);
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

  it('renders configs that nodes and webhook accept', () => {
    for (const values of [[], EVERYTHING]) {
      const objects = objectsOf(renderChart(helm, values));
      const node = (
        find(objects, 'ConfigMap', /node/) as KubeObject & { data: Record<string, string> }
      ).data;
      for (const [name, text] of Object.entries(node)) {
        const { DeployConfig, P2PConfig } = parseConfig(parse(text) as Record<string, unknown>, {
          env: { NODE_IP: '10.0.0.1' },
        });
        assert.equal(`${DeployConfig.mode}.yaml`, name);
        assert.equal(P2PConfig.discovery, 'kubernetes');
      }
      const webhook = parseWebhookConfig(
        (find(objects, 'ConfigMap', /webhook/) as KubeObject & { data: Record<string, string> })
          .data['webhook.yaml']!,
      );
      assert.equal(
        webhook.webhookConfiguration,
        find(objects, 'MutatingWebhookConfiguration').metadata.name,
      );
      assert.equal(webhook.service, find(objects, 'Service', /webhook/).metadata.name);
    }
  });

  it('gives nodes an upstream for every rewritten registry', () => {
    const registries = [
      { host: 'reg.example.com', mode: 'rewrite' },
      { host: '*.corp.example', mode: 'rewrite' },
      { host: 'named.example.com:5000', p2pHost: 'p2p.local:65001' },
      { host: 'alias.example.com:5000', p2pHost: 'p2p.local:65001' },
      { host: 'inner.example.com', upstream: 'http://10.0.0.7:5000' },
      { host: 'hub.mirror.example', mode: 'mirror' },
      { host: 'docker.io' },
      { host: '*.left.example', mode: 'mirror' },
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
    assert.ok(
      !allowListOf(ProxyConfig).names('a.left.example', 443),
      'a mirror of who knows how many registries is not opened unasked',
    );
  });

  it('has the job name shoal in alerts for any release name', () => {
    const values = EVERYTHING.flatMap((value) => ['--set', value]);
    const objects = objectsOf(
      execFileSync(helm, ['template', 'images', CHART, '--kube-version', '1.34.0', ...values], {
        encoding: 'utf8',
      }),
    );
    const { spec } = find(objects, 'ServiceMonitor') as KubeObject & { spec: { jobLabel: string } };
    for (const name of [/^images$/, /^images-root$/])
      assert.equal(find(objects, 'Service', name).metadata.labels?.[spec.jobLabel], 'shoal');
  });

  it('runs on Linux nodes only', () => {
    for (const object of objectsOf(renderChart(helm, EVERYTHING))) {
      const spec = (
        object as unknown as {
          spec?: { template?: { spec?: { nodeSelector: Record<string, string> } } };
        }
      ).spec?.template?.spec;
      if (spec !== undefined)
        assert.equal(spec.nodeSelector['kubernetes.io/os'], 'linux', object.metadata.name);
    }
  });

  it('drops privileges in every container', () => {
    for (const object of objectsOf(renderChart(helm, EVERYTHING))) {
      const spec = (
        object as unknown as { spec?: { template?: { spec?: Record<string, unknown> } } }
      ).spec?.template?.spec;
      if (spec === undefined) continue;
      assert.equal(
        (spec['securityContext'] as { seccompProfile: { type: string } }).seccompProfile.type,
        'RuntimeDefault',
      );
      for (const container of [
        ...(spec['containers'] as object[]),
        ...((spec['initContainers'] ?? []) as object[]),
      ] as { name: string; securityContext: Record<string, unknown> }[]) {
        const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities, runAsUser } =
          container.securityContext;
        assert.deepEqual(
          [
            allowPrivilegeEscalation,
            readOnlyRootFilesystem,
            (capabilities as { drop: string[] }).drop,
          ],
          [false, true, ['ALL']],
          container.name,
        );
        const mayBeRoot = ['prepare-cache', 'containerd-config'].includes(container.name);
        assert.equal(
          runAsUser,
          mayBeRoot ? 0 : undefined,
          `${container.name} takes the pod's user, which is not root`,
        );
      }
    }
  });

  it('renders without optional parts', () => {
    const bare = objectsOf(
      renderChart(helm, [
        'webhook.enabled=false',
        'networkPolicy.enabled=false',
        'clusterSecret.existingSecret=own',
        'containerd.configure=false',
      ]),
    );
    assert.deepEqual(bare.map(({ kind }) => kind).sort(), [
      'ConfigMap',
      'DaemonSet',
      'Role',
      'RoleBinding',
      'Service',
      'ServiceAccount',
    ]);
    const none = objectsOf(
      execFileSync(
        helm,
        ['template', 'shoal', CHART, '--kube-version', '1.34.0', '--set-json', 'registries=[]'],
        { encoding: 'utf8' },
      ),
    );
    assert.deepEqual(
      parseWebhookConfig(
        (find(none, 'ConfigMap', /webhook/) as KubeObject & { data: Record<string, string> }).data[
          'webhook.yaml'
        ]!,
      ).registries,
      [],
    );
  });

  it('configures containerd before the agent is up, and keeps P2P hosts when it ends', async () => {
    const certsDir = await mkdtemp(join(tmpdir(), 'shoal-certs-'));
    try {
      const kept =
        'server = "https://kept.example.com"\n\n[host."https://mirror.example.com"]\n  capabilities = ["pull"]\n';
      await mkdir(join(certsDir, 'kept.example.com'));
      await writeFile(join(certsDir, 'kept.example.com/hosts.toml'), kept);
      const [port] = await freePorts(1);
      const text = renderChart(helm, [
        `containerd.certsDir=${certsDir}`,
        'containerd.hosts={kept.example.com,reg.distributed.example.com:65001}',
        'registries[0].host=own.example.com:5000',
        'registries[0].p2pHost=p2p.own.example:65001',
        'registries[0].upstream=http://own.example.com:5000',
        `p2p.v2.proxyPort=${port}`,
      ]);
      const { restartPolicy, command } = sidecarOf(objectsOf(text));
      assert.equal(restartPolicy, 'Always');
      const PATH = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
      const child = spawn(command[0]!, command.slice(1), {
        cwd: fileURLToPath(new URL('../../', import.meta.url)),
        env: { ...process.env, PATH },
        stdio: 'ignore',
      });
      const exited = once(child, 'exit') as Promise<[number | null]>;
      const hosts = async (registry: string): Promise<string> =>
        await readFile(join(certsDir, registry, 'hosts.toml'), 'utf8');
      const servers: [registry: string, server: string][] = [
        ['kept.example.com', 'https://kept.example.com'],
        ['reg.distributed.example.com:65001', 'https://reg.example.com'],
        ['p2p.own.example:65001', 'http://own.example.com:5000'],
      ];
      const configured = async (registry: string, server: string): Promise<boolean> => {
        const now = await hosts(registry);
        return now.includes(`http://127.0.0.1:${port}`) && now.includes(`server = "${server}"`);
      };
      for (const [registry, server] of servers)
        await eventually(registry, () => configured(registry, server));
      assert.match(await hosts('kept.example.com'), /mirror\.example\.com/);
      // As k3s, RKE2 and nodeadm write their files again.
      await writeFile(join(certsDir, 'kept.example.com/hosts.toml'), kept);
      await eventually('the mirror is back', () =>
        configured('kept.example.com', 'https://kept.example.com'),
      );
      child.kill('SIGTERM');
      assert.deepEqual((await exited)[0], 0);
      assert.equal(await hosts('kept.example.com'), kept);
      for (const [registry, server] of servers.slice(1))
        assert.ok(await configured(registry, server), registry);
    } finally {
      await rm(certsDir, { recursive: true });
    }
  });

  it('removes the files of P2P hosts when told so, ahead of the end', () => {
    const text = renderChart(helm, [
      'containerd.hosts={p2p.example:65001}',
      'containerd.removeP2pHosts=true',
    ]);
    assert.ok(sidecarOf(objectsOf(text)).command.includes('--remove-all'));
  });

  function sidecarOf(objects: KubeObject[]): { restartPolicy?: string; command: string[] } {
    const agent = find(objects, 'DaemonSet') as KubeObject & {
      spec: {
        template: {
          spec: { initContainers: { name: string; restartPolicy?: string; command: string[] }[] };
        };
      };
    };
    return agent.spec.template.spec.initContainers.find(
      ({ name }) => name === 'containerd-config',
    )!;
  }

  it('matches the rendered manifests', () => {
    const directory = fileURLToPath(new URL('../../deploy/manifests/', import.meta.url));
    const expected = manifests(helm);
    assert.deepEqual(
      readdirSync(directory).sort(),
      [...expected.keys()].sort(),
      'run node deploy/render.ts',
    );
    for (const [name, text] of expected)
      assert.equal(
        readFileSync(directory + name, 'utf8'),
        text,
        `${name} is stale: run node deploy/render.ts`,
      );
  });

  it('renders objects that a real API server accepts', async function () {
    const [etcd = '', apiServer = ''] = kubeAssets.needs(this, 'etcd', 'kube-apiserver');
    const api = await ApiServer.start(etcd, apiServer);
    try {
      for (const name of ['shoal', 'apps', 'more']) await api.namespace(name);
      for (const values of [[], EVERYTHING]) {
        const objects = objectsOf(renderChart(helm, values)).filter(
          ({ kind }) => kind !== 'ServiceMonitor',
        );
        assert.ok(objects.length >= 15);
        for (const object of objects) await api.post(object, { dryRun: true });
      }
      const manifest = {
        apiVersion: 'apps/v1',
        kind: 'DaemonSet',
        metadata: { name: 'x', namespace: 'shoal' },
        spec: { selector: {}, replicas: 1 },
      };
      await assert.rejects(
        api.post(manifest, { dryRun: true }),
        /unknown field/,
        'the check itself can fail',
      );
    } finally {
      await api.stop();
    }
  });
});

describe('the chart in a cluster', () => {
  let api: ApiServer;
  let run: (...args: string[]) => string;
  before(async function () {
    const [helm = '', etcd = '', apiServer = ''] = kubeAssets.needs(
      this,
      'helm',
      'etcd',
      'kube-apiserver',
    );
    api = await ApiServer.start(etcd, apiServer);
    await api.namespace('shoal');
    run = (...args) =>
      execFileSync(helm, [...args, '--namespace', 'shoal', '--kubeconfig', api.kubeconfig], {
        encoding: 'utf8',
      });
  });
  after(async () => await api?.stop());

  it('is installed, upgraded and removed; the cluster secret is created once and kept', async () => {
    const secret = async (): Promise<string | undefined> =>
      (
        await api.client.get<KubeObject & { data: Record<string, string> }>(
          SECRETS,
          'shoal',
          'shoal-cluster-secret',
        )
      )?.data['secret'];
    assert.match(run('install', 'shoal', CHART), /k8s\.aliyun\.com\/image-accelerate-mode=p2p/);
    const made = await secret();
    assert.equal(Buffer.from(made!, 'base64').length, 64);
    run('upgrade', 'shoal', CHART, '--set', 'root.enabled=true');
    assert.equal(await secret(), made);
    assert.ok(
      await api.client.get(
        { base: '/apis/apps/v1', plural: 'statefulsets' },
        'shoal',
        'shoal-root',
      ),
    );
    run('uninstall', 'shoal');
    assert.equal(await secret(), made);
    assert.equal(await api.client.get(MUTATING_WEBHOOKS, null, 'shoal-shoal'), null);
    run('install', 'shoal', CHART, '--take-ownership');
    assert.equal(await secret(), made);
  });
});

describe("the chart's README", () => {
  it('matches the schema', () =>
    assert.equal(readFileSync(`${CHART}README.md`, 'utf8'), readme(), 'run node deploy/render.ts'));

  it('describes every value', () => {
    const leaves = (value: unknown, path: string): string[] =>
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      Object.keys(value).length > 0
        ? Object.entries(value).flatMap(([key, child]) =>
            leaves(child, path === '' ? key : `${path}.${key}`),
          )
        : [path];
    const text = readme();
    const documented = [...text.matchAll(/^\| `([^`]*)` \|.*\| (.*) \|$/gm)].map(
      ([, key, meaning]) => {
        assert.ok(meaning!.length > 5, `${key} has no meaning`);
        return key!;
      },
    );
    for (const leaf of leaves(parse(readFileSync(`${CHART}values.yaml`, 'utf8')), '')) {
      assert.ok(
        documented.some((key) => leaf === key || leaf.startsWith(`${key}.`)),
        `${leaf} is not documented`,
      );
    }
  });
});
