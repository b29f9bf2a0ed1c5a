import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type SecureVersion, type TLSSocket } from 'node:tls';
import { needs } from '../programs.ts';
import { CLIENTS } from './clients.ts';
import { CountingProxy } from './counting-proxy.ts';
import { makeImage, type TestImage } from './image.ts';
import { ShoalNode } from './node.ts';
import { DockerRegistry } from './registry.ts';
import { scratchFolder } from './scratch-folder.ts';

describe('e2e: over TLS, with the CA that the node made', () => {
  let dir: string;
  let registry: DockerRegistry;
  let counting: CountingProxy;
  let node: ShoalNode;
  let image: TestImage;
  let caFile: string;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo');
    dir = await scratchFolder();
    registry = await DockerRegistry.start(dir);
    image = await makeImage(join(dir, 'image'), [3_000_000, 2_000], 1);
    await registry.push(image, 'team/tls');
    counting = await CountingProxy.start(registry.port);
    node = await ShoalNode.start(join(dir, 'node'), {
      ProxyConfig: { tls: true, registries: [{ upstream: `http://${counting.host}` }] },
      ExporterConfig: { enable: true, port: 0 },
    });
    caFile = join(node.dir, 'certs', 'ca.crt');
  });

  after(async () => {
    await Promise.all([node?.stop(), counting?.stop(), registry?.stop()]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  for (const [name, start] of CLIENTS.filter(([client]) => client.startsWith('containerd'))) {
    it(`${name} pulls by a hosts.toml with the ca`, async function () {
      const home = join(dir, name.replaceAll(' ', '-'));
      await mkdir(home);
      const client = await start(this, home);
      try {
        await client.mirror(counting.host, `https://${node.proxyHost}`, caFile);
        const reference = `${counting.host}/team/tls:test`;
        const { code, stderr } = await client.tryPull(reference);
        assert.equal(code, 0, stderr);
        const pulled = await client.pulled(reference);
        for (const { digest } of [image.manifest, image.config, ...image.layers])
          assert.ok(pulled.includes(digest), digest);
        // Each layer came from the node: it fetched it, and it left the registry once for all
        // clients.
        const { bytes } = (await (
          await fetch(`http://127.0.0.1:${node.exporterPort}/status`)
        ).json()) as { bytes: { origin: number } };
        assert.ok(
          bytes.origin >= image.layers.reduce((sum, { size }) => sum + size, 0),
          `the node fetched ${bytes.origin} bytes`,
        );
        for (const { digest, size } of image.layers)
          assert.equal(counting.blobs.get(digest)?.bytes, size, digest);
      } finally {
        await client.stop();
      }
    });
  }

  /** The protocol agreed on; rejects when there is none. */
  async function dial(minVersion: SecureVersion, maxVersion: SecureVersion): Promise<TLSSocket> {
    const socket = connect({
      host: '127.0.0.1',
      port: node.proxyPort,
      ca: await readFile(caFile),
      minVersion,
      maxVersion,
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await once(socket, 'secureConnect');
    return socket;
  }

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`${version} is spoken`, async () => {
      const socket = await dial(version, version);
      assert.equal(socket.getProtocol(), version);
      socket.write(
        `GET /v2/team/tls/blobs/${image.config.digest} HTTP/1.1\r\nHost: node\r\nRange: ` +
          'bytes=0-0\r\n\r\n',
      );
      const [answer] = (await once(socket, 'data')) as [Buffer];
      assert.match(answer.toString('latin1'), /^HTTP\/1.1 206 /);
      socket.destroy();
    });
  }

  it('older versions are refused', async () => {
    await assert.rejects(dial('TLSv1.1', 'TLSv1.1'), { code: /^(ERR_SSL|ECONNRESET)/ });
  });
});
