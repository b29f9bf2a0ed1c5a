import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KubeObject } from '../../lib/cluster/kubernetes/client.ts';
import { renderChart } from '../../deploy/render.ts';
import { kubeAssets } from '../kube/assets.ts';
import { eventually } from '../kube/eventually.ts';
import { find, objectsOf } from './chart.ts';
import { freePorts } from '../free-ports.ts';

describe("the chart's sidecar", () => {
  let helm: string;
  before(function () {
    [helm = ''] = kubeAssets.needs(this, 'helm');
  });

  it('configures containerd before the agent is up, and keeps P2P hosts when it ends', async () => {
    const certsDir = await mkdtemp(join(tmpdir(), 'shoal-certs-'));
    try {
      const kept =
        'server = "https://kept.example.com"\n\n[host."https://mirror.example.com"]\n  ' +
        'capabilities = ["pull"]\n';
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
        await eventually(registry, () => configured(registry, server), 40_000);
      assert.match(await hosts('kept.example.com'), /mirror\.example\.com/);
      // As k3s, RKE2 and nodeadm write their files again.
      await writeFile(join(certsDir, 'kept.example.com/hosts.toml'), kept);
      await eventually('the mirror is back', () =>
        configured('kept.example.com', 'https://kept.example.com'),
      );
      child.kill('SIGTERM');
      assert.deepEqual((await exited)[0], 0);
      await eventually(
        'the file is as it was',
        async () => (await hosts('kept.example.com')) === kept,
      );
      for (const [registry, server] of servers.slice(1))
        assert.ok(await configured(registry, server), registry);
    } finally {
      await rm(certsDir, { recursive: true });
    }
  });

  it('removes the files of P2P hosts when asked, before it exits', () => {
    const text = renderChart(helm, [
      'containerd.hosts={p2p.example:65001}',
      'containerd.removeP2pHosts=true',
    ]);
    assert.ok(sidecarOf(objectsOf(text)).command.includes('--remove-all'));
  });

  it('detects a frozen agent and kills it', () => {
    const objects = objectsOf(renderChart(helm, ['containerd.hosts={p2p.example:65001}']));
    const { command, securityContext } = sidecarOf(objects);
    const { shareProcessNamespace, containers } = podOf(objects);
    const config = containers[0]!.args[containers[0]!.args.indexOf('--config') + 1];
    assert.equal(command[command.indexOf('--end-frozen') + 1], config);
    assert.equal(shareProcessNamespace, true);
    assert.deepEqual(securityContext?.capabilities, { drop: ['ALL'], add: ['KILL'] });
  });

  interface Sidecar {
    name: string;
    restartPolicy?: string;
    command: string[];
    securityContext?: { capabilities: object };
  }

  function podOf(objects: KubeObject[]): {
    shareProcessNamespace?: boolean;
    initContainers: Sidecar[];
    containers: { args: string[] }[];
  } {
    const { spec } = find(objects, 'DaemonSet') as unknown as {
      spec: { template: { spec: ReturnType<typeof podOf> } };
    };
    return spec.template.spec;
  }

  function sidecarOf(objects: KubeObject[]): Sidecar {
    return podOf(objects).initContainers.find(({ name }) => name === 'containerd-config')!;
  }
});
