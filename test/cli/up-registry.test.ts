import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { UpReport } from '../../lib/commands/up-report.ts';
import { makeSampleImage } from '../../lib/demo/sample-image.ts';
import type { SampleImage } from '../../lib/demo/sample-image.ts';
import { Running, fakeUpPath } from './process.ts';

// A registry that gives anyone a token, serves an index, and keeps its blobs on another host.
describe('shoal up with a named registry', () => {
  let image: SampleImage;
  let registry: Server;
  let store: Server;
  let temporary = '';
  const url = (server: Server): string =>
    `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const listening = (server: Server): Promise<Server> =>
    new Promise((give) => server.listen(0, '127.0.0.1', () => give(server)));

  before(async () => {
    temporary = mkdtempSync(join(tmpdir(), 'shoal-test-'));
    image = await makeSampleImage('named', [200_000]);
    const index = JSON.stringify({
      schemaVersion: 2,
      manifests: [
        {
          digest: image.manifest.digest,
          size: image.manifest.bytes.length,
          platform: { os: 'linux', architecture: 'amd64' },
        },
      ],
    });
    store = await listening(
      createServer((request, response) =>
        response.end(image.blobs.find((blob) => request.url?.includes(blob.digest))?.bytes),
      ),
    );
    registry = await listening(
      createServer((request, response) => {
        const path = request.url ?? '';
        if (path.startsWith('/token'))
          return void response.end(JSON.stringify({ token: 'anyone' }));
        if (request.headers.authorization !== 'Bearer anyone') {
          return void response
            .writeHead(401, {
              'www-authenticate':
                'Bearer ' +
                `realm="${url(registry)}/token",service="s",scope="repository:a/b:pull"`,
            })
            .end();
        }
        if (path.startsWith('/v2/a/b/manifests/v1')) return void response.end(index);
        if (path.includes(image.manifest.digest)) return void response.end(image.manifest.bytes);
        if (path.startsWith('/v2/a/b/blobs/'))
          return void response.writeHead(307, { location: `${url(store)}${path}` }).end();
        response.writeHead(404).end();
      }),
    );
  });
  after(() => {
    for (const server of [registry, store]) {
      server.closeAllConnections();
      server.close();
    }
    rmSync(temporary, { recursive: true, force: true });
  });

  const up = (options: object): Running =>
    new Running(fakeUpPath, [JSON.stringify({ registry: url(registry), ...options })], {
      TMPDIR: temporary,
    });

  it("pulls the image of the index, and reports the nodes' counts", async () => {
    const once = up({ image: 'a/b:v1', once: true, json: true, nodes: 2 });
    assert.equal(await once.exit(), 0, once.stderr);
    const report = JSON.parse(once.stdout) as UpReport;
    assert.equal(
      report.imageBytes,
      image.blobs.reduce((sum, blob) => sum + blob.bytes.length, 0),
    );
    assert.deepEqual(report.origin, { bytes: 2 * report.imageBytes, requests: 2 * 2 });
    assert.match(once.stderr, /as the nodes count them/);
  });

  it('allows the nodes to dial the host of the blobs, and sends no credentials', async () => {
    const staying = up({ image: 'a/b:v1', nodes: 1 });
    await staying.printed(/stop: Ctrl-C/);
    const dir = join(temporary, readdirSync(temporary)[0]!);
    assert.match(
      readFileSync(join(dir, 'agent-1', 'config.yaml'), 'utf8'),
      new RegExp(`allow:\\s+- ${new URL(url(store)).host}`),
    );
    assert.match(staying.stdout, /skopeo copy --src-tls-verify=false docker:\/\//);
    staying.child.kill('SIGTERM');
    assert.equal(await staying.exit(), 0);
  });

  it('exits with 1 and one line if there is no such image', async () => {
    const once = up({ image: 'a/b:v2', once: true });
    assert.equal(await once.exit(), 1);
    assert.equal(once.stderr, `${url(registry)}/v2/a/b/manifests/v2 answered 404\n`);
  });
});
