import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { cliPath } from '../built-program.ts';
import { Daemon, run } from '../e2e/daemon.ts';
import { makeImage, type TestImage } from '../e2e/image.ts';
import { issueCertificate } from '../origin/certificate.ts';

/** The registry that the pages speak of. Nodes do not dial loopback under a name. */
const REGISTRY = 'registry.example';
const ADDRESS = '10.77.0.1';
const LOCAL_PORT = 5000;
const LOCAL_REGISTRY = `127.0.0.1:${LOCAL_PORT}`;
const OVERLAYBD_SAMPLE = 'test/golden/overlaybd.json';

/** How a command ended. */
export interface Ended {
  code: number | null;
  output: string;
}

/**
 * The machine of a reader who types what a page prints: a network, an /etc, a /run and a /var/lib
 * of its own, so that commands run as printed, with their ports and paths.
 * `https://registry.example` and `http://127.0.0.1:5000` are one registry, with the images
 * team/app:v1 and team/app:v2. containerd runs. Nothing of the real machine changes. Needs root.
 */
export class Reader {
  /** The working directory: a checkout without tests and documents. */
  readonly directory: string;
  readonly #images: { v1: TestImage; v2: TestImage };
  readonly #machine: Daemon;
  readonly #programs: string;
  readonly #env: Record<string, string>;
  readonly #daemons: Daemon[] = [];
  readonly #running = new Set<ChildProcess>();

  private constructor(
    directory: string,
    images: { v1: TestImage; v2: TestImage },
    machine: Daemon,
  ) {
    this.directory = directory;
    this.#images = images;
    this.#machine = machine;
    this.#programs = join(directory, 'bin');
    this.#env = {
      NODE_EXTRA_CA_CERTS: join(directory, 'ca.crt'),
      PATH: [this.#programs, dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter),
      TMPDIR: join(directory, 'tmp'),
      TOKEN: 'a token',
    };
  }

  static async start(): Promise<Reader> {
    const directory = mkdtempSync(join(tmpdir(), 'shoal-reader-'));
    for (const path of ['lib', 'native-bench', 'deploy', 'package.json', '.npmrc'])
      cpSync(path, join(directory, path), { recursive: true });
    symlinkSync(resolve('node_modules'), join(directory, 'node_modules'));
    for (const made of ['bin', 'tmp', 'registry']) mkdirSync(join(directory, made));
    const images = {
      v1: await makeImage(join(directory, 'image'), [4_000_000]),
      v2: await makeImage(join(directory, 'new-image'), [3_000_000], 2),
    };
    const etc = join(directory, 'etc');
    await run('cp', ['-a', '/etc', etc]);
    mkdirSync(join(etc, 'overlaybd'), { recursive: true });
    cpSync(OVERLAYBD_SAMPLE, join(etc, 'overlaybd/overlaybd.json'));
    writeFileSync(join(etc, 'hosts'), `127.0.0.1 localhost\n${ADDRESS} ${REGISTRY}\n`);
    const { certPem, keyPem } = await issueCertificate(REGISTRY);
    writeFileSync(join(directory, 'ca.crt'), certPem);
    writeFileSync(join(directory, 'ca.key'), keyPem);
    writeFileSync(join(etc, 'ssl/certs/ca-certificates.crt'), certPem, { flag: 'a' });
    const machine = new Daemon('unshare', ['--mount', '--net', 'sh', '-ec', MACHINE, etc]);
    await machine.said(/^up$/m);
    const reader = new Reader(directory, images, machine);
    await reader.#begin();
    return reader;
  }

  /** The registry without TLS, under an address that a node dials. */
  get registry(): string {
    return `${ADDRESS}:${LOCAL_PORT}`;
  }

  /** The layer of team/app:v2, which no command pulls before `shoal preheat`. */
  get newLayer(): string {
    return this.#images.v2.layers[0]!.digest;
  }

  async #begin(): Promise<void> {
    this.program('shoal', `exec ${process.execPath} ${cliPath} "$@"`);
    const tls = {
      certificate: join(this.directory, 'ca.crt'),
      key: join(this.directory, 'ca.key'),
    };
    await this.#registry('https', { addr: `${ADDRESS}:443`, tls });
    await this.#registry('http', { addr: `:${LOCAL_PORT}` });
    for (const [tag, { dir, tag: name }] of Object.entries(this.#images))
      await this.must(
        `skopeo copy --preserve-digests --dest-tls-verify=false ` +
          `oci:${dir}:${name} docker://${LOCAL_REGISTRY}/team/app:${tag}`,
      );
    const config = join(this.directory, 'containerd.toml');
    writeFileSync(config, 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n');
    await this.#daemon(`containerd --config ${config}`, /containerd successfully booted/);
  }

  /** Puts a program on the reader's PATH. `script` is of sh. */
  program(name: string, script: string): void {
    writeFileSync(join(this.#programs, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }

  /** Puts programs on the PATH that run in the network of the test, where its cluster is. */
  cluster(kubeconfig: string, programs: Record<string, string>): void {
    this.#env['KUBECONFIG'] = kubeconfig;
    for (const [name, path] of Object.entries(programs))
      this.program(name, `exec nsenter --target ${process.pid} --net ${path} "$@"`);
  }

  /** Runs a command line to its end. */
  async runs(command: string): Promise<Ended> {
    const { child, output } = this.#spawn(command);
    const [code] = (await once(child, 'close')) as [number | null];
    this.#running.delete(child);
    return { code, output: output() };
  }

  /** Runs what a test needs; throws unless it ends with 0. */
  async must(command: string): Promise<void> {
    const { code, output } = await this.runs(command);
    if (code !== 0) throw new Error(`${command} ended with ${code}: ${output}`);
  }

  /** Runs an endless command line until its output matches; it goes on until `stop`. */
  async until(command: string, up: RegExp): Promise<() => Promise<void>> {
    const { child, output } = this.#spawn(command);
    const ended = once(child, 'close');
    while (!up.test(output())) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`${command} ended with ${child.exitCode}: ${output()}`);
      await Promise.race([once(child.stdout!, 'data'), ended]);
    }
    return () => this.#interrupt(child);
  }

  async stop(): Promise<void> {
    for (const child of this.#running) await this.#interrupt(child);
    for (const daemon of this.#daemons.reverse()) await daemon.stop();
    await this.#machine.stop();
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  #inside(command: string): string[] {
    const at = ['--target', String(this.#machine.child.pid), '--mount', '--net'];
    return [...at, 'sh', '-c', `cd ${this.directory} && ${command}`];
  }

  #spawn(command: string): { child: ChildProcess; output: () => string } {
    const child = spawn('nsenter', this.#inside(command), {
      env: { ...process.env, ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#running.add(child);
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    return { child, output: () => text };
  }

  /** Stops a command and what it has started, as Ctrl-C does. */
  async #interrupt(child: ChildProcess): Promise<void> {
    this.#running.delete(child);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'close');
    process.kill(-child.pid!, 'SIGINT');
    await ended;
  }

  async #registry(name: string, http: object): Promise<void> {
    const config = {
      version: '0.1',
      log: { accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(this.directory, 'registry') } },
      http: { ...http, relativeurls: true, secret: 'only for tests' },
    };
    const file = join(this.directory, `${name}.json`);
    // JSON is YAML.
    writeFileSync(file, JSON.stringify(config));
    await this.#daemon(`docker-registry serve ${file}`, /listening on /);
  }

  async #daemon(command: string, up: RegExp): Promise<void> {
    const daemon = new Daemon('nsenter', this.#inside(`exec ${command}`), { env: this.#env });
    this.#daemons.push(daemon);
    await daemon.said(up);
  }
}

/** `$0` becomes /etc. A pair of virtual network cards carries the address of the registry. */
const MACHINE = `
mount --make-rprivate /
mount --bind "$0" /etc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
ip link set lo up
ip link add shoal0 type veth peer name shoal1
ip address add ${ADDRESS}/24 dev shoal0
ip link set shoal0 up
ip link set shoal1 up
echo up
exec sleep infinity
`;
