import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './until.ts';

const CLI = fileURLToPath(new URL('../../lib/cli.ts', import.meta.url));

/** A registry of one blob, ranges and all, that keeps what it was sent. */
export interface Origin {
  url: string;
  digest: string;
  bytes: Buffer;
  seen: IncomingMessage[];
  server: Server;
}

/** `stepBytes` every 20 ms for each request; without it, as fast as can be. */
export async function startOrigin(sizeBytes: number, stepBytes = Infinity): Promise<Origin> {
  const bytes = randomBytes(sizeBytes);
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const from = Number(range?.[1] ?? 0);
    const to = Math.min(bytes.length - 1, range?.[2] ? Number(range[2]) : bytes.length - 1);
    response.writeHead(range === null ? 200 : 206, { 'content-length': to - from + 1, ...(range === null ? {} : { 'content-range': `bytes ${from}-${to}/${bytes.length}` }) });
    let sent = from;
    const step = (): void => {
      const end = Math.min(to + 1, sent + stepBytes);
      response.write(bytes.subarray(sent, end));
      sent = end;
      if (sent === to + 1) response.end();
      else if (!response.destroyed) setTimeout(step, 20);
    };
    step();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, digest: createHash('sha256').update(bytes).digest('hex'), bytes, seen, server };
}

/** A real agent in a process of its own, with everything it prints. */
export class LiveNode {
  readonly directory: string;
  readonly #child: ChildProcess;
  output = '';
  proxy = '';
  exporter = '';

  private constructor(directory: string, child: ChildProcess) {
    this.directory = directory;
    this.#child = child;
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
  }

  /** Starts an agent before `origin` on free ports; `settings` are further `--set` values. */
  static async start(origin: Origin, settings: readonly string[]): Promise<LiveNode> {
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
    const child = spawn(process.execPath, [CLI, 'agent', '--json', ...set], { stdio: ['ignore', 'pipe', 'pipe'] });
    const node = new LiveNode(directory, child);
    const ready = /^\{"ready":true.*\}$/m;
    await until(() => ready.test(node.output) || child.exitCode !== null, 'the ready line', 20_000);
    if (!ready.test(node.output)) throw new Error(`the node did not start:\n${node.output}`);
    const { proxy, exporter } = JSON.parse(ready.exec(node.output)![0]) as { proxy: string; exporter: string };
    node.proxy = proxy;
    node.exporter = exporter;
    return node;
  }

  async get(path: string): Promise<string> {
    return await (await fetch(this.exporter + path)).text();
  }

  /** Drains the node and returns its exit code. */
  async stop(): Promise<number | null> {
    if (this.#child.exitCode === null) {
      const gone = new Promise((resolve) => this.#child.once('close', resolve));
      this.#child.kill('SIGTERM');
      await gone;
    }
    return this.#child.exitCode;
  }

  remove(): void {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
