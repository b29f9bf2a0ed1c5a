import { mkdir, writeFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { cliPath } from '../built-program.ts';
import { Daemon, withHosts } from './daemon.ts';

const MIB = 1024 * 1024;

/** Sections of the config file to be put over the defaults of the tests. */
type ConfigSections = Record<string, Record<string, unknown>>;

export interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  body: Buffer;
}

/** A real node, run through the real command line. */
export class ShoalNode {
  readonly dir: string;
  readonly proxyPort: number;
  readonly p2pPort: number;
  readonly exporterPort: number | null;
  readonly daemon: Daemon;

  private constructor(
    dir: string,
    daemon: Daemon,
    ready: { proxy: string; p2p: string; exporter: string | null },
  ) {
    this.dir = dir;
    this.daemon = daemon;
    this.proxyPort = portOf(ready.proxy);
    this.p2pPort = portOf(ready.p2p);
    this.exporterPort = ready.exporter === null ? null : portOf(ready.exporter);
  }

  /**
   * Starts a node whose files are all under `dir`, and waits for its ready line. Started again on
   * the same `dir` it finds its cache. `hostsFile` stands for its /etc/hosts; `through`: a program
   * and its arguments that run it; `program`: the entry file of another build.
   */
  static async start(
    dir: string,
    sections: ConfigSections,
    options: {
      role?: 'agent' | 'root';
      hostsFile?: string;
      through?: readonly string[];
      program?: string;
    } = {},
  ): Promise<ShoalNode> {
    await mkdir(dir, { recursive: true });
    const file = join(dir, 'config.yaml');
    // JSON is YAML.
    await writeFile(file, JSON.stringify(configOf(dir, sections)));
    const args = [
      options.program ?? cliPath,
      options.role ?? 'agent',
      '--config',
      file,
      '--json',
      '--exit-with-parent',
    ];
    const [first = process.execPath, ...more] = [...(options.through ?? []), process.execPath];
    const { program, args: programArgs } =
      options.hostsFile === undefined
        ? { program: first, args: [...more, ...args] }
        : withHosts(options.hostsFile, first, [...more, ...args]);
    const daemon = new Daemon(program, programArgs);
    const [line] = await daemon.said(/^\{"ready":true.*\}$/m);
    return new ShoalNode(
      dir,
      daemon,
      JSON.parse(line) as { proxy: string; p2p: string; exporter: string | null },
    );
  }

  get proxyHost(): string {
    return `127.0.0.1:${this.proxyPort}`;
  }

  async get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
    return httpGet(this.proxyPort, path, headers, method);
  }

  async stop(): Promise<void> {
    await this.daemon.stop('SIGTERM');
  }

  async kill(): Promise<void> {
    await this.daemon.stop('SIGKILL');
  }
}

/** One request by hand, with any Host header and any path. */
export function httpGet(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, headers, method, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
        }),
      );
      response.on('error', reject);
    }).on('error', reject);
  });
}

function configOf(dir: string, sections: ConfigSections): ConfigSections {
  const defaults: ConfigSections = {
    DeployConfig: { node: '127.0.0.1', logDir: join(dir, 'log') },
    ProxyConfig: { port: 0, certDir: join(dir, 'certs') },
    P2PConfig: { port: 0 },
    CacheConfig: { dir: join(dir, 'cache'), capacity: 256 * MIB, memory: 64 * MIB },
  };
  return Object.fromEntries(
    [...new Set([...Object.keys(defaults), ...Object.keys(sections)])].map((name) => [
      name,
      { ...defaults[name], ...sections[name] },
    ]),
  );
}

function portOf(address: string): number {
  return Number(/:(\d+)\/?$/.exec(address)?.[1]);
}
