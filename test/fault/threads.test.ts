import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { loadConfig } from '../../lib/config/load.ts';
import { planPull, pullImage } from '../../lib/demo/pull.ts';
import { RegistryClient } from '../../lib/demo/registry-client.ts';
import { DemoRegistry } from '../../lib/demo/registry.ts';
import { makeSampleImage, type SampleImage } from '../../lib/demo/sample-image.ts';
import { startNode } from '../../lib/node.ts';
import type { RunningNode } from '../../lib/node/running-node.ts';
import { until } from '../telemetry/until.ts';

const MIB = 1024 * 1024;

describe('fault/threads: a thread of a node ends in the middle of a pull', () => {
  let image: SampleImage;
  let registry: DemoRegistry;
  let dir: string;
  let node: RunningNode;
  /** The threads of the node that carry out jobs: all but the front; a transfer thread first. */
  let workers: Worker[];
  const started = (worker: Worker): void => {
    if (worker.threadName !== 'front') workers.push(worker);
  };
  const stopping = new AbortController();

  before(async () => {
    image = await makeSampleImage('threads', [24 * MIB, 24 * MIB, 9 * MIB]);
    registry = await DemoRegistry.start(image);
  });
  after(async () => {
    stopping.abort();
    await registry.close();
  });
  beforeEach(async () => {
    workers = [];
    process.on('worker', started);
    dir = mkdtempSync(join(tmpdir(), 'shoal-threads-'));
    const sets = [
      'DeployConfig.node=127.0.0.1',
      `DeployConfig.logDir=${dir}/log`,
      'DeployConfig.logLevel=fatal',
      'ProxyConfig.port=0',
      `ProxyConfig.registries=[{"upstream":"${registry.url}"}]`,
      'P2PConfig.port=0',
      `CacheConfig.dir=${dir}/cache`,
      `CacheConfig.capacity=${128 * MIB}`,
      `CacheConfig.memory=${32 * MIB}`,
      'CacheConfig.runtimeStore=off',
      'ExporterConfig.enable=true',
      'ExporterConfig.port=0',
    ];
    node = await startNode(loadConfig({ file: undefined, sets, mode: 'agent' }));
  });
  afterEach(async () => {
    await node.drain();
    process.off('worker', started);
    rmSync(dir, { recursive: true, force: true });
  });

  async function metric(name: string): Promise<number> {
    const answer = await fetch(`${node.ready.exporter}/metrics`);
    const line = (await answer.text()).split('\n').find((one) => one.startsWith(`${name} `));
    return Number(line?.split(' ')[1]);
  }

  /** Pulls the image, calling `onBytes` with what has come so far. Throws unless it comes right. */
  async function pull(onBytes: (bytes: number) => void): Promise<void> {
    const { signal } = stopping;
    const client = (url: string, namespace: string | null) =>
      new RegistryClient({ url, namespace }, registry.credentials, signal);
    const plan = await planPull(client(registry.url, null), image.repository, image.tag);
    let bytes = 0;
    const outcome = await pullImage(
      client(node.ready.proxy, new URL(registry.url).host),
      plan,
      () => performance.now(),
      (more) => onBytes((bytes += more)),
    );
    assert.deepEqual(outcome.problems, []);
  }

  it('the transfer thread: its reads begin again in the next one', async () => {
    let ends = 0;
    await pull((bytes) => {
      if (bytes < 10 * MIB || ends > 0) return;
      ends++;
      void workers[0]!.terminate();
    });
    assert.equal(await metric('shoal_thread_restarts_total{thread="transfer"}'), 1);
    // From memory and disk: nothing wrong was kept.
    await pull(() => undefined);
  });

  it('every thread but those that listen, again and again', async () => {
    let nextBytes = 5 * MIB;
    let rounds = 0;
    await pull((bytes) => {
      if (bytes < nextBytes) return;
      nextBytes += 18 * MIB;
      rounds++;
      for (const worker of workers.splice(0)) void worker.terminate();
    });
    assert.ok(rounds >= 3);
    // They hash, too: a digest thread comes only beside busy ones.
    await until(
      async () => (await metric('shoal_thread_restarts_total{thread="transfer"}')) >= rounds,
      'all restarts',
    );
    assert.equal(await metric('shoal_integrity_failures_total{of="blob"}'), 0);
    await pull(() => undefined);
  });
});
