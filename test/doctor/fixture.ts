import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { connect } from 'node:net';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { diagnose } from '../../lib/doctor/doctor.ts';
import type { NamedImage } from '../../lib/doctor/ranges.ts';
import type { Finding } from '../../lib/doctor/finding.ts';
import { issueLeaf, makeAuthority } from '../../lib/tls/authority.ts';
import { Envelope, type EnvelopeParts } from '../../lib/wire/envelope.ts';
import { formatRefusal } from '../../lib/wire/refusal.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';

/** The files and servers around a node that the doctor looks at. */
export class DoctorFixture {
  dir = '';
  /** How long the doctor waits for an answer; undefined: as long as for a user. */
  timeoutMs: number | undefined;
  readonly #servers: Server[] = [];
  readonly #undo: (() => void)[] = [];

  open(): void {
    this.timeoutMs = undefined;
    this.dir = mkdtempSync(join(tmpdir(), 'shoal-doctor-'));
    this.secret('0123456789abcdef', 0o600);
  }

  async close(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) undo();
    for (const server of this.#servers.splice(0)) {
      server.close();
      await once(server, 'close');
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  readonly secret = (text: string, mode: number): void => {
    writeFileSync(join(this.dir, 'secret'), text);
    chmodSync(join(this.dir, 'secret'), mode);
  };

  async #listen<S extends Server>(server: S): Promise<number> {
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  readonly serve = (listener: RequestListener): Promise<number> =>
    this.#listen(createServer({ keepAlive: false }, listener));

  readonly closedPort = async (): Promise<number> => {
    const server = createServer();
    const port = await this.#listen(server);
    this.#servers.pop();
    server.close();
    await once(server, 'close');
    return port;
  };

  /** A port at which no handshake ends, as behind a firewall that drops packets. */
  readonly filteredPort = async (): Promise<number> => {
    // The kernel drops further packets once the queue of a process that accepts nothing is full.
    const listener =
      "const s = require('net').createServer();" +
      "s.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {" +
      "console.log(s.address().port); process.kill(process.pid, 'SIGSTOP'); })";
    const child = spawn(process.execPath, ['-e', listener], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#undo.push(() => child.kill('SIGKILL'));
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const port = Number(line.toString());
    for (let i = 0; i < 8; i++) {
      const socket = connect(port, '127.0.0.1').on('error', () => undefined);
      this.#undo.push(() => socket.destroy());
    }
    return port;
  };

  /** A file system of its own, which only root can mount. */
  readonly mount = (options: string): string => {
    const path = join(this.dir, 'mounted');
    mkdirSync(path);
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]);
    this.#undo.push(() => execFileSync('umount', [path]));
    return path;
  };

  readonly tlsRegistry = async (host: string, fromMs: number): Promise<number> => {
    const authority = await makeAuthority('CA of a test', 2, fromMs);
    writeFileSync(join(this.dir, 'ca.pem'), authority.certificate);
    const leaf = await issueLeaf(authority, [host], 1, fromMs);
    const server = createTlsServer({ cert: leaf.certificate, key: leaf.key });
    return this.#listen(server);
  };

  /** The p2p port of a node with this test's secret, but for what `parts` change. */
  readonly peer = async (parts: Partial<EnvelopeParts>): Promise<number> => {
    const port = await this.serve(({ url, headers }, response) => {
      const opened = new Envelope({
        secret: new ClusterSecret(Buffer.from('0123456789abcdef')),
        self: `127.0.0.1:${port}`,
        wallMs: Date.now,
        ...parts,
      }).open({ path: url!, header: (name) => String(headers[name] ?? '') });
      if (opened.kind === 'refused')
        response.writeHead(opened.status).end(JSON.stringify(formatRefusal(opened)));
      else response.writeHead(200).end('{}');
    });
    return port;
  };

  readonly closedTunnels = (): Promise<number> => {
    const server = createServer({ keepAlive: false });
    server.on('connect', (_request, socket) => socket.end('HTTP/1.1 407 No\r\n\r\n'));
    return this.#listen(server);
  };

  /** The findings of a config that is sound but for what `sets` change. */
  readonly examine = (...given: string[]): Promise<Finding[]> => this.examineWith([], ...given);

  readonly examineWith = (
    images: readonly NamedImage[],
    ...given: string[]
  ): Promise<Finding[]> => {
    const [option, text = ''] = given;
    const file = join(this.dir, 'config.yaml');
    const isFile = option === '--config';
    if (isFile) writeFileSync(file, text);
    const sets = isFile ? [] : given;
    return diagnose(
      {
        ...(isFile ? { file } : {}),
        sets: [
          'DeployConfig.node=127.0.0.1',
          `CacheConfig.dir=${join(this.dir, 'cache')}`,
          'CacheConfig.capacity=16MiB',
          'ProxyConfig.port=0',
          'P2PConfig.port=0',
          `P2PConfig.secretFile=${join(this.dir, 'secret')}`,
          ...sets,
        ],
        mode: 'root',
        images,
      },
      () => Date.now(),
      this.timeoutMs,
    );
  };
}
