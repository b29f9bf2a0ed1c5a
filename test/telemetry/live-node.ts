import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cliPath } from '../built-program.ts';
import { until } from './until.ts';
import { freePorts } from '../free-ports.ts';

/**
 * A registry of one blob, ranges and all, under every path without `/missing/`, and of an image of
 * it under every name. It keeps what it was sent.
 */
export interface Origin {
  url: string;
  /** Of the blob, without `sha256:`. */
  digest: string;
  bytes: Buffer;
  /** The other blob of the image: its config. */
  config: Buffer;
  seen: IncomingMessage[];
  /** Bytes of blobs that it sent. */
  sentBytes: number;
  /** A blob is sent once this is settled. */
  hold: () => Promise<void>;
  server: Server;
}

/** `stepBytes` every 20 ms for each request; without it, as fast as can be. */
export async function startOrigin(sizeBytes: number, stepBytes = Infinity): Promise<Origin> {
  const layer = randomBytes(sizeBytes);
  const sha256 = (of: Uint8Array): string => createHash('sha256').update(of).digest('hex');
  const digest = sha256(layer);
  const rootfs = { type: 'layers', diff_ids: [`sha256:${digest}`] };
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs }));
  const manifest = manifestOf(config, layer, sha256);
  const origin = {
    ...{ digest, bytes: layer, config, seen: [] as IncomingMessage[], sentBytes: 0 },
    hold: () => Promise.resolve(),
  };
  const server = createServer((request, response) => {
    origin.seen.push(request);
    const url = request.url!;
    if (url.includes('/missing/')) {
      response.writeHead(404).end();
      return;
    }
    if (url === '/v2/' || url.includes('/manifests/')) {
      response.writeHead(200, {
        'content-type': url === '/v2/' ? 'application/json' : MANIFEST_TYPE,
        'docker-content-digest': `sha256:${sha256(manifest)}`,
      });
      response.end(url === '/v2/' ? '{}' : manifest);
      return;
    }
    const bytes = url.endsWith(sha256(config)) ? config : layer;
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const from = Number(range?.[1] ?? 0);
    const to = Math.min(bytes.length - 1, range?.[2] ? Number(range[2]) : bytes.length - 1);
    response.writeHead(range === null ? 200 : 206, {
      'content-length': to - from + 1,
      ...(range === null ? {} : { 'content-range': `bytes ${from}-${to}/${bytes.length}` }),
    });
    let sent = from;
    const step = (): void => {
      // Who asked has gone: nothing is sent.
      if (response.destroyed) return;
      const end = Math.min(to + 1, sent + stepBytes);
      response.write(bytes.subarray(sent, end));
      origin.sentBytes += end - sent;
      sent = end;
      if (sent === to + 1) response.end();
      else setTimeout(step, 20);
    };
    void origin.hold().then(step);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(origin, { url, server });
}

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

function manifestOf(config: Buffer, layer: Buffer, sha256: (of: Buffer) => string): Buffer {
  const described = (of: Buffer, mediaType: string): object => ({
    mediaType,
    digest: `sha256:${sha256(of)}`,
    size: of.length,
  });
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: described(config, 'application/vnd.oci.image.config.v1+json'),
      layers: [described(layer, 'application/vnd.oci.image.layer.v1.tar')],
    }),
  );
}

/** A real node in a process of its own, with everything it prints. */
export class LiveNode {
  readonly directory: string;
  readonly #child: ChildProcess;
  output = '';
  proxy = '';
  exporter = '';
  /** address:p2p port. */
  name = '';
  pid = 0;

  private constructor(directory: string, child: ChildProcess) {
    this.directory = directory;
    this.#child = child;
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
  }

  /** Starts a node before `origin` on free ports; `settings` are further `--set` values. */
  static async start(
    origin: { url: string },
    settings: readonly string[],
    role: 'agent' | 'root' = 'agent',
    env: Record<string, string> = {},
  ): Promise<LiveNode> {
    const directory = mkdtempSync(join(tmpdir(), 'shoal-live-'));
    const set = [
      `DeployConfig.logDir=${directory}`,
      'DeployConfig.logLevel=debug',
      'ProxyConfig.port=0',
      `ProxyConfig.registries=[{upstream: "${origin.url}"}]`,
      'P2PConfig.port=0',
      `CacheConfig.dir=${join(directory, 'cache')}`,
      'CacheConfig.capacity=134217728',
      'CacheConfig.memory=67108864',
      'ExporterConfig.enable=true',
      'ExporterConfig.port=0',
      ...settings,
    ].flatMap((value) => ['--set', value]);
    const child = spawn(process.execPath, [cliPath, role, '--json', '--exit-with-parent', ...set], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    const node = new LiveNode(directory, child);
    const ready = /^\{"ready":true.*\}$/m;
    try {
      await until(
        () => ready.test(node.output) || child.exitCode !== null,
        'the ready line',
        60_000,
      );
      if (!ready.test(node.output)) throw new Error(`the node did not start:\n${node.output}`);
    } catch (error) {
      node.remove();
      throw error;
    }
    const { proxy, exporter, p2p, pid } = JSON.parse(ready.exec(node.output)![0]) as {
      proxy: string;
      exporter: string;
      p2p: string;
      pid: number;
    };
    [node.proxy, node.exporter, node.name, node.pid] = [
      proxy,
      exporter,
      p2p.replace('http://', ''),
      pid,
    ];
    return node;
  }

  /** What it has logged, line by line. */
  get log(): Record<string, unknown>[] {
    return this.output
      .split('\n')
      .filter((line) => line.startsWith('{"level"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  async get(path: string): Promise<string> {
    return await (await fetch(this.exporter + path)).text();
  }

  /** Tells the node to drain. */
  terminate(): void {
    this.#child.kill('SIGTERM');
  }

  /** Its exit code, once it has ended. */
  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await new Promise((resolve) => this.#child.once('close', resolve));
    return this.#child.exitCode;
  }

  /** Drains the node and returns its exit code. */
  stop(): Promise<number | null> {
    this.terminate();
    return this.ended();
  }

  remove(): void {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A root and agents that know each other, before `origin`; the root comes first. */
export async function startSwarm(
  origin: { url: string },
  settings: readonly string[],
  agents = 2,
  env: Record<string, string> = {},
): Promise<LiveNode[]> {
  const [root, ...others] = (await freePorts(agents + 1)).map((port) => `127.0.0.1:${port}`);
  const p2p = (name: string): string[] => [
    'DeployConfig.node=127.0.0.1',
    `P2PConfig.port=${name.split(':')[1]}`,
    `P2PConfig.roots=["${root}"]`,
    `P2PConfig.peers=${JSON.stringify(others)}`,
  ];
  const starts = await Promise.allSettled(
    [root!, ...others].map((name) =>
      LiveNode.start(origin, [...settings, ...p2p(name)], name === root ? 'root' : 'agent', env),
    ),
  );
  const nodes = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  const failed = starts.find((start) => start.status === 'rejected');
  if (failed !== undefined) {
    for (const node of nodes) node.remove();
    throw failed.reason;
  }
  return nodes;
}
