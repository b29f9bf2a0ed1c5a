import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Daemon, run, tryRun, type Finished } from './daemon.ts';

const NAMESPACE = 'shoal-test';
/** What needs more of the machine than a pull does. */
const DISABLED = ['io.containerd.grpc.v1.cri', 'io.containerd.snapshotter.v1.aufs', 'io.containerd.snapshotter.v1.btrfs', 'io.containerd.snapshotter.v1.zfs', 'io.containerd.snapshotter.v1.devmapper', 'io.containerd.snapshotter.v1.overlayfs', 'io.containerd.internal.v1.opt', 'io.containerd.tracing.processor.v1.otlp', 'io.containerd.internal.v1.tracing'];

/** A real containerd with everything of its own: root, state, socket, content. */
export class Containerd {
  readonly #daemon: Daemon;
  readonly #socket: string;
  readonly #hostsDir: string;

  private constructor(daemon: Daemon, socket: string, hostsDir: string) {
    this.#daemon = daemon;
    this.#socket = socket;
    this.#hostsDir = hostsDir;
  }

  static async start(dir: string): Promise<Containerd> {
    const hostsDir = join(dir, 'certs.d');
    await mkdir(hostsDir, { recursive: true });
    const socket = join(dir, 'containerd.sock');
    const config = join(dir, 'containerd.toml');
    await writeFile(config, [
      'version = 2',
      `root = "${join(dir, 'root')}"`,
      `state = "${join(dir, 'state')}"`,
      `disabled_plugins = ${JSON.stringify(DISABLED)}`,
      '[grpc]',
      `  address = "${socket}"`,
      '[ttrpc]',
      `  address = "${socket}.ttrpc"`,
      '',
    ].join('\n'));
    const daemon = new Daemon('containerd', ['--config', config]);
    await daemon.said(/containerd successfully booted/);
    return new Containerd(daemon, socket, hostsDir);
  }

  /** Writes `certs.d/<registry>/hosts.toml`. */
  async configure(registry: string, hostsToml: string): Promise<void> {
    await mkdir(join(this.#hostsDir, registry), { recursive: true });
    await writeFile(join(this.#hostsDir, registry, 'hosts.toml'), hostsToml);
  }

  /** Pulls and unpacks `reference`; fails the test when that fails. */
  async pull(reference: string, credentials?: string): Promise<Finished> {
    return run('ctr', this.#ctr('images', 'pull', '--snapshotter', 'native', '--platform', 'linux/amd64', '--hosts-dir', this.#hostsDir, ...(credentials === undefined ? [] : ['--user', credentials]), reference));
  }

  async tryPull(reference: string, credentials?: string): Promise<Finished> {
    return tryRun('ctr', this.#ctr('images', 'pull', '--snapshotter', 'native', '--platform', 'linux/amd64', '--hosts-dir', this.#hostsDir, ...(credentials === undefined ? [] : ['--user', credentials]), reference));
  }

  /** The digest of what `reference` was pulled as. */
  async digest(reference: string): Promise<string> {
    const { stdout } = await run('ctr', this.#ctr('images', 'list', `name==${reference}`));
    return /sha256:[0-9a-f]{64}/.exec(stdout)?.[0] ?? '';
  }

  /** Forgets the image and every byte of it. */
  async remove(reference: string): Promise<void> {
    await run('ctr', this.#ctr('images', 'remove', '--sync', reference));
  }

  async stop(): Promise<void> {
    await this.#daemon.stop();
  }

  #ctr(...args: string[]): string[] {
    return ['--address', this.#socket, '--namespace', NAMESPACE, ...args];
  }
}
