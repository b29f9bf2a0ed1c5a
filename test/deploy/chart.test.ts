import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import {
  MUTATING_WEBHOOKS,
  SECRETS,
  type KubeObject,
} from '../../lib/cluster/kubernetes/client.ts';
import { parseConfig } from '../../lib/config/load.ts';
import { parseWebhookConfig } from '../../lib/webhook/config.ts';
import { CHART, manifests, renderChart } from '../../deploy/render.ts';
import { ApiServer } from '../kube/api-server.ts';
import { find, objectsOf } from './chart.ts';
import { kubeAssets } from '../kube/assets.ts';

/**
 * The values block of the DADI agent's documentation, unchanged but for the image, which is not
 * ours to
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
  'prometheusRule.enabled=true',
  'prometheusRule.runbookUrl=https://wiki.example/shoal',
  'dashboard.enabled=true',
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
  'webhook.credentialProviderImages={*.dkr.ecr.*.amazonaws.com}',
  'containerd.hosts={reg.example.com,reg.distributed.example.com:65001}',
  'registries[0].host=reg.example.com:5000',
  'registries[0].p2pHost=p2p.local:65001',
  'registries[0].upstream=http://reg.example.com:5000',
  'registries[1].host=mirrored.example.com',
  'registries[1].mode=mirror',
];

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

  it("installs alerts with readable runbooks, and the dashboard for Grafana's sidecar", () => {
    const objects = objectsOf(renderChart(helm, EVERYTHING));
    const { spec } = find(objects, 'PrometheusRule') as KubeObject & {
      spec: { groups: { rules: { alert: string; annotations: Record<string, string> }[] }[] };
    };
    const rules = spec.groups.flatMap((group) => group.rules);
    assert.ok(rules.length > 20, `${rules.length} rules`);
    for (const { alert, annotations } of rules) {
      assert.equal(annotations['runbook_url'], `https://wiki.example/shoal#${alert.toLowerCase()}`);
      // Filled in by Prometheus, not by helm.
      assert.ok(annotations['summary']!.length > 0);
    }
    assert.ok(rules.some(({ annotations }) => annotations['summary']!.includes('{{ $labels')));
    const map = objects.find(({ metadata }) => metadata.name.endsWith('-dashboard'));
    const { metadata, data } = map as unknown as {
      metadata: { labels: Record<string, string> };
      data: Record<string, string>;
    };
    assert.equal(metadata.labels['grafana_dashboard'], '1');
    assert.equal((JSON.parse(data['shoal.json']!) as { uid: string }).uid, 'shoal');
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
});

describe('the chart in a cluster', () => {
  let api: ApiServer;
  let helm: string;
  let run: (...args: string[]) => string;
  before(async function () {
    const programs = kubeAssets.needs(this, 'helm', 'etcd', 'kube-apiserver');
    helm = programs[0]!;
    api = await ApiServer.start(programs[1]!, programs[2]!);
    for (const name of ['shoal', 'apps', 'more']) await api.namespace(name);
    run = (...args) =>
      execFileSync(helm, [...args, '--namespace', 'shoal', '--kubeconfig', api.kubeconfig], {
        encoding: 'utf8',
      });
  });
  after(async () => await api?.stop());

  it('renders objects that a real API server accepts', async () => {
    for (const values of [[], EVERYTHING]) {
      const objects = objectsOf(renderChart(helm, values)).filter(
        ({ kind }) => kind !== 'ServiceMonitor' && kind !== 'PrometheusRule',
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
  });

  it('is installed, upgraded, removed; the cluster secret is created once and kept', async () => {
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
