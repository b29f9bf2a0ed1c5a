import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../free-ports.ts';
import { isLong } from '../long.ts';
import { needs } from '../programs.ts';
import { CLIENTS, type Client } from './clients.ts';
import { Daemon } from './daemon.ts';
import { makeImage, type TestImage } from './image.ts';
import { ShoalNode } from './node.ts';
import { DockerRegistry } from './registry.ts';
import { scratchFolder } from './scratch-folder.ts';
import { SlowRegistry } from './slow-registry.ts';

const MIB = 1024 * 1024;

/** What a client pulls, and how fast the registry sends it. */
interface Load {
  layersBytes: readonly number[];
  bytesPerSecond: number;
}

/** 40 MiB at 8 MB/s, and as a sample a layer of three shards at half of that. */
const LAYERS: Load = isLong
  ? { layersBytes: [40 * MIB], bytesPerSecond: 8_000_000 }
  : { layersBytes: [5 * MIB], bytesPerSecond: 4_000_000 };
const LARGE_LAYER: Load = { layersBytes: [1024 * MIB], bytesPerSecond: 8_000_000 };
/** A token's life, and how long the layer takes that is pulled with it. */
const [TOKEN_SECONDS, LAYER_SECONDS] = isLong ? [60, 100] : [2, 3];
const TOKEN_LAYER_BYTES = isLong ? 48 * MIB : 6 * MIB;
const SENT_RATIO_MAX = 1.05;
const CACHE_BYTES = (isLong ? 4096 : 128) * MIB;
/** docker-registry reads what it does not have for the client and again for its store. */
const DOCKER_REGISTRY_READS = 2;

/** The clients know no other host than the node. */
describe('e2e: slow upstreams, the node as only host', function () {
  this.timeout(isLong ? 590_000 : 60_000);
  let dir: string;
  let seed = 70;
  const clients = new Map<string, Client>();
  const stops: (() => Promise<void>)[] = [];

  before(async function () {
    needs(this, 'docker-registry', 'skopeo', 'containerd', 'nginx');
    dir = isLong ? await mkdtemp(join(tmpdir(), 'shoal-slow-')) : await scratchFolder();
    for (const [name, start] of CLIENTS) {
      // podman pulls with skopeo's library.
      if (name === 'podman') continue;
      const home = join(dir, `client-${clients.size}`);
      await mkdir(home);
      clients.set(name, await start(this, home));
    }
  });

  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  after(async () => {
    await Promise.all([...clients.values()].map((client) => client.stop()));
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  async function slowRegistry(tokenSeconds?: number): Promise<SlowRegistry> {
    const slow = await SlowRegistry.start(tokenSeconds);
    stops.push(() => slow.stop());
    return slow;
  }

  /**
   * Each client pulls an image of its own at once; the node's next host on the way to `slow` is
   * `upstream`.
   */
  async function pullWithEach(
    slow: SlowRegistry,
    upstream: string,
    load: Load,
    reads = 1,
  ): Promise<void> {
    const node = await ShoalNode.start(join(dir, `node-${seed}`), {
      ProxyConfig: { port: 0, registries: [{ upstream }] },
      CacheConfig: { capacity: CACHE_BYTES },
    });
    stops.push(() => node.stop());
    let blobBytes = 0;
    const pulls: [name: string, client: Client, reference: string, image: TestImage][] = [];
    for (const [name, client] of clients) {
      const image = await makeImage(join(dir, `image-${seed}`), load.layersBytes, seed);
      const repository = `team/app-${seed++}`;
      slow.add(repository, image, load.bytesPerSecond * reads);
      blobBytes += image.blobBytes;
      pulls.push([name, client, `${node.proxyHost}/${repository}:${image.tag}`, image]);
    }
    const faults = pulls.map(async ([name, client, reference, image]) => {
      const { code, stderr } = await client.tryPull(reference);
      if (code !== 0) return [`${name}: ${stderr.slice(-1_000)}`];
      const have = new Set(await client.pulled(reference));
      const wanted = [image.manifest, image.config, ...image.layers];
      return wanted
        .filter(({ digest }) => !have.has(digest))
        .map(({ digest }) => `${name}: no ${digest}`);
    });
    assert.deepEqual((await Promise.all(faults)).flat(), [], node.daemon.output.slice(-2_000));
    const ratio = slow.sentBytes / (blobBytes * reads);
    assert.ok(ratio <= SENT_RATIO_MAX, `the registry sent ${ratio.toFixed(3)} times the images`);
  }

  async function pullThroughDockerRegistry(load: Load): Promise<void> {
    const slow = await slowRegistry();
    const home = join(dir, `through-${seed}`);
    await mkdir(home);
    const through = await DockerRegistry.start(home, undefined, 0, `http://${slow.host}`);
    stops.push(() => through.stop());
    await pullWithEach(slow, `http://${through.host}`, load, DOCKER_REGISTRY_READS);
  }

  it('a docker-registry that fetches what it does not have', () =>
    pullThroughDockerRegistry(LAYERS));

  if (isLong)
    it('a docker-registry that fetches a layer of 1 GiB', () =>
      pullThroughDockerRegistry(LARGE_LAYER));

  it("nginx's cache of slices", async () => {
    const slow = await slowRegistry();
    const [port = 0] = await freePorts(1);
    const home = join(dir, 'nginx');
    await mkdir(home);
    const file = join(home, 'nginx.conf');
    await writeFile(file, sliceCache(home, port, slow.host));
    const nginx = new Daemon('nginx', ['-c', file, '-e', 'stderr', '-g', 'daemon off;']);
    stops.push(() => nginx.stop());
    await pullWithEach(slow, `http://127.0.0.1:${port}`, LAYERS);
  });

  it(`a token of ${TOKEN_SECONDS} s, a layer of ${LAYER_SECONDS} s`, async () => {
    const slow = await slowRegistry(TOKEN_SECONDS);
    await pullWithEach(slow, `http://${slow.host}`, {
      layersBytes: [TOKEN_LAYER_BYTES],
      bytesPerSecond: TOKEN_LAYER_BYTES / LAYER_SECONDS,
    });
  });
});

function sliceCache(home: string, port: number, upstream: string): string {
  return `
    master_process off;
    pid ${home}/pid;
    events {}
    http {
      access_log off;
      client_body_temp_path ${home}/body; proxy_temp_path ${home}/proxy;
      fastcgi_temp_path ${home}/fastcgi; uwsgi_temp_path ${home}/uwsgi; scgi_temp_path ${home}/scgi;
      proxy_cache_path ${home}/cache keys_zone=slices:10m max_size=4g;
      server {
        listen 127.0.0.1:${port};
        location / { proxy_pass http://${upstream}; }
        location ~ /blobs/ {
          slice 1m;
          proxy_cache slices;
          proxy_cache_key $uri$slice_range;
          proxy_cache_valid 200 206 1h;
          proxy_set_header Range $slice_range;
          proxy_pass http://${upstream};
        }
      }
    }`;
}
