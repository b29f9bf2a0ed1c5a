import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { NodeProcess } from '../../lib/demo/node-process.ts';
import { planPull, pullImage } from '../../lib/demo/pull.ts';
import { RegistryClient } from '../../lib/demo/registry-client.ts';
import { DemoRegistry } from '../../lib/demo/registry.ts';
import { makeSampleImage, type SampleImage } from '../../lib/demo/sample-image.ts';
import { readNodeBytes } from '../../lib/demo/node-counters.ts';
import { until } from '../telemetry/until.ts';
import { BadPeer, type Vice } from './bad-peer.ts';
import { cliPath } from '../built-program.ts';

const MIB = 1024 * 1024;
/**
 * Without the bad peer the pull takes well under a second, and a vice may cost five seconds. Other
 * tests use the processor at the same time, so the test allows three times as much. A node that
 * waits for a silent connection until its deadline takes 20 s.
 */
const PULL_SECONDS_MAX = 18;
/**
 * Busy is no failure: an owner that waits for a slow origin says so too. It is left after ten
 * seconds without a byte.
 */
const BUSY_SECONDS_MAX = 25;

/** A real agent whose only peer is bad: the peer owns about half of all shards. */
function agentBeside(peer: BadPeer, registry: DemoRegistry, dir: string): NodeProcess {
  writeFileSync(join(dir, 'secret'), 'a secret of more than sixteen bytes', { mode: 0o600 });
  const config = {
    DeployConfig: { node: '127.0.0.1', logDir: join(dir, 'log'), logLevel: 'warn' },
    ProxyConfig: { port: 0, registries: [{ upstream: registry.url }], throttleLimitMB: 0 },
    P2PConfig: { port: 0, peers: [peer.node], secretFile: join(dir, 'secret') },
    CacheConfig: { dir: join(dir, 'cache'), capacity: 64 * MIB, memory: 32 * MIB },
    ExporterConfig: { enable: true, port: 0 },
  };
  writeFileSync(join(dir, 'config.yaml'), stringify(config));
  return new NodeProcess({
    name: 'agent',
    role: 'agent',
    dir,
    command: [process.execPath, cliPath],
  });
}

/** An image at a registry, and agents that pull it beside a bad peer. */
export class PullsBeside {
  readonly #image: SampleImage;
  readonly #registry: DemoRegistry;
  readonly #stopping = new AbortController();

  private constructor(image: SampleImage, registry: DemoRegistry) {
    this.#image = image;
    this.#registry = registry;
  }

  static async start(): Promise<PullsBeside> {
    const image = await makeSampleImage('bad peers', [12 * MIB, 5 * MIB, 3000]);
    return new PullsBeside(image, await DemoRegistry.start(image));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#registry.close();
  }

  /**
   * Throws unless a pull beside a peer with this vice ends well, in time, and leaves no wrong byte
   * in the cache.
   */
  async pull(vice: Vice): Promise<void> {
    const { signal } = this.#stopping;
    const registry = this.#registry;
    const dir = mkdtempSync(join(tmpdir(), 'shoal-bad-peer-'));
    const peer = await BadPeer.start(
      new Map(this.#image.blobs.map((blob) => [blob.digest, blob.bytes])),
      vice,
    );
    const agent = agentBeside(peer, registry, dir);
    try {
      const { proxy, exporter } = await agent.started(signal);
      const direct = new RegistryClient(
        { url: registry.url, namespace: null },
        registry.credentials,
        signal,
      );
      const plan = await planPull(direct, this.#image.repository, this.#image.tag);
      const client = new RegistryClient(
        { url: proxy, namespace: new URL(registry.url).host },
        registry.credentials,
        signal,
      );
      const first = await pullImage(
        client,
        plan,
        () => performance.now(),
        () => undefined,
      );
      assert.ok(peer.asked > 0, 'the bad peer was asked');
      if (vice === 'sends wrong bytes and vouches for them') {
        // An owner that lies and vouches for it is only found out by the blob's digest: what it
        // sent must not stay.
        await until(
          async () =>
            (
              await pullImage(
                client,
                plan,
                () => performance.now(),
                () => undefined,
              )
            ).digestsOk,
          'a pull without a wrong byte',
          30_000,
        );
      } else {
        assert.deepEqual(first.problems, []);
        assert.ok(
          first.seconds < (vice === 'is always busy' ? BUSY_SECONDS_MAX : PULL_SECONDS_MAX),
          `the pull took ${first.seconds} s`,
        );
      }
      // From the cache alone, now that the peer is gone: not one wrong byte was kept.
      peer.close();
      const again = await pullImage(
        client,
        plan,
        () => performance.now(),
        () => undefined,
      );
      assert.deepEqual(again.problems, []);
      assert.ok((await readNodeBytes(exporter!)).had.origin > 0);
    } finally {
      peer.close();
      await agent.stop(5_000);
      rmSync(dir, { recursive: true, force: true });
    }
  }
}
