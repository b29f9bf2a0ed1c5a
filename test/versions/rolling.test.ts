import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { PROTOCOL_VERSION } from '../../lib/wire/version.ts';
import { cliPath } from '../built-program.ts';
import { CountingProxy } from '../e2e/counting-proxy.ts';
import { digestOf, noise } from '../e2e/image.ts';
import { ShoalNode } from '../e2e/node.ts';
import { isLong } from '../long.ts';
import { OriginServer, serveRanges } from '../origin/origin-server.ts';
import { keptCliPath, keptVersion, missingPackages } from './kept-build.ts';
import { freePorts } from '../free-ports.ts';

const NODES = 8;
const BLOB_BYTES = 4 * SHARD_BYTES + 12_345;
/** As often containerd resumes a body. */
const RESUMES_MAX = 5;

describe('two versions in one swarm', function () {
  this.timeout(600_000);

  it('the kept build speaks the minor version before this one', () => {
    assert.deepEqual(
      keptVersion(),
      { major: PROTOCOL_VERSION.major, minor: PROTOCOL_VERSION.minor - 1 },
      'run: node test/versions/kept-build.ts <the last commit of the previous protocol version>',
    );
  });

  it('the kept build has the packages that this checkout no longer has', () => {
    assert.deepEqual(
      missingPackages(),
      [],
      'run: node test/versions/kept-build.ts <the commit of the kept build>',
    );
  });

  const turns = isLong ? 'all nodes' : 'half of the nodes';
  it(`an upgrade of ${turns} and back: no pull fails, each blob comes once`, async () => {
    const swarm = await RollingSwarm.start(keptCliPath());
    try {
      await swarm.pull(swarm.all);
      const upgraded = swarm.all.filter((at) => isLong || at % 2 === 0);
      for (const at of upgraded) await swarm.replace(at, cliPath);
      await swarm.pull(swarm.all);
      const rolledBack = swarm.all.filter((at) => isLong || at % 4 === 0);
      for (const at of rolledBack) await swarm.replace(at, keptCliPath());
      await swarm.pull(swarm.all);
      const ratio = swarm.originBytes / swarm.uniqueBytes;
      console.log(
        `      ${swarm.pulls} pulls of ${swarm.uniqueBytes / BLOB_BYTES} blobs, ` +
          `${swarm.resumed} resumed, ${ratio.toFixed(3)} x from the origin`,
      );
      // A node that is replaced within a pull may cost a blob that it owned: six of sixty here.
      assert.ok(ratio <= (isLong ? 1.05 : 1.1), `${ratio} x from the origin`);
    } finally {
      await swarm.stop();
    }
  });
});

/** Nodes on loopback before an origin that has any number of blobs. */
class RollingSwarm {
  readonly all: readonly number[] = Array.from({ length: NODES }, (_, at) => at);
  pulls = 0;
  resumed = 0;
  uniqueBytes = 0;
  readonly #dir: string;
  readonly #ports: readonly number[];
  readonly #nodes: ShoalNode[] = [];
  readonly #origin: OriginServer;
  readonly #counting: CountingProxy;
  readonly #blobs: Map<string, Buffer>;

  private constructor(
    dir: string,
    ports: readonly number[],
    origin: OriginServer,
    counting: CountingProxy,
    blobs: Map<string, Buffer>,
  ) {
    this.#dir = dir;
    this.#ports = ports;
    this.#origin = origin;
    this.#counting = counting;
    this.#blobs = blobs;
  }

  static async start(program: string): Promise<RollingSwarm> {
    const dir = await mkdtemp(join(tmpdir(), 'shoal-rolling-'));
    await writeFile(join(dir, 'secret'), 'a secret of thirty-two characters', { mode: 0o600 });
    const blobs = new Map<string, Buffer>();
    const origin = await OriginServer.start((request, response) => {
      const content = blobs.get(request.url!.split('/').at(-1)!);
      if (content === undefined) response.writeHead(404).end();
      else serveRanges(content)(request, response);
    });
    const counting = await CountingProxy.start(origin.port);
    const swarm = new RollingSwarm(dir, await freePorts(NODES), origin, counting, blobs);
    // Two at a time: all at once, on a busy machine, some would miss the deadline of their start.
    for (let at = 0; at < NODES; at += 2) {
      const pair = [at, at + 1].map((one) => swarm.#run(one, program));
      swarm.#nodes.push(...(await Promise.all(pair)));
    }
    return swarm;
  }

  get originBytes(): number {
    return this.#counting.blobBytes;
  }

  /** A new blob, pulled through some nodes at once; every pull must succeed. */
  async pull(through: readonly number[]): Promise<void> {
    const content = noise(BLOB_BYTES, this.#blobs.size + 1);
    const digest = digestOf(content);
    this.#blobs.set(digest, content);
    this.uniqueBytes += BLOB_BYTES;
    await Promise.all(
      through.map(async (at) => {
        const { proxyPort } = this.#nodes[at]!;
        const body = await this.#get(proxyPort, `/v2/app/blobs/${digest}`);
        assert.equal(digestOf(body), digest, `through node ${at}`);
        this.pulls++;
      }),
    );
  }

  /** One blob as a runtime gets it: a body that breaks off is asked for from there on. */
  async #get(port: number, path: string): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for (let tries = 0; ; tries++) {
      const fromBytes = chunks.reduce((sum, { length }) => sum + length, 0);
      const headers = fromBytes === 0 ? {} : { range: `bytes=${fromBytes}-` };
      const asked = get({ host: '127.0.0.1', port, path, headers, agent: false });
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      assert.equal(response.statusCode, fromBytes === 0 ? 200 : 206, `port ${port}`);
      try {
        for await (const chunk of response) chunks.push(chunk as Buffer);
        return Buffer.concat(chunks);
      } catch (error) {
        if (tries === RESUMES_MAX) throw error;
        this.resumed++;
      }
    }
  }

  /**
   * Replaces a node as a rollout does: its pulls are finished, it gets no new ones, and the others
   * pull on.
   */
  async replace(at: number, program: string): Promise<void> {
    const others = this.all.filter((other) => other !== at);
    const brake = this.#counting.brake(BLOB_BYTES / 2);
    const pulling = this.pull(this.all);
    await brake.reached;
    const stopped = this.#nodes[at]!.stop();
    brake.release();
    await Promise.all([pulling, stopped]);
    const [node] = await Promise.all([this.#run(at, program), this.pull(others)]);
    this.#nodes[at] = node;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()));
    await this.#counting.stop();
    await this.#origin.stop();
    await rm(this.#dir, { recursive: true });
  }

  async #run(at: number, program: string): Promise<ShoalNode> {
    return await ShoalNode.start(
      join(this.#dir, `node-${at}`),
      {
        ProxyConfig: { registries: [{ upstream: `http://${this.#counting.host}` }] },
        P2PConfig: {
          port: this.#ports[at],
          peers: this.#ports.map((port) => `127.0.0.1:${port}`),
          secretFile: join(this.#dir, 'secret'),
        },
      },
      { program },
    );
  }
}
