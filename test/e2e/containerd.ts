import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Daemon, run, tryRun, type Finished } from './daemon.ts';

const NAMESPACE = 'shoal-test';
/** What needs more of the machine than a pull does. */
const DISABLED = [
  'io.containerd.grpc.v1.cri',
  'io.containerd.snapshotter.v1.aufs',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.zfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.overlayfs',
  'io.containerd.internal.v1.opt',
  'io.containerd.tracing.processor.v1.otlp',
  'io.containerd.internal.v1.tracing',
];
const DISABLED_TODAY = [
  'io.containerd.nri.v1.nri',
  'io.containerd.snapshotter.v1.blockfile',
  'io.containerd.snapshotter.v1.erofs',
  'io.containerd.snapshotter.v1.overlayfs',
  'io.containerd.differ.v1.erofs',
  'io.containerd.mount-handler.v1.erofs',
  'io.containerd.internal.v1.opt',
];

/**
 * Which containerd: Debian's by its names, or another by its paths and with its pulls in parallel
 * ranges.
 */
export interface ContainerdPrograms {
  containerd: string;
  ctr: string;
  /**
   * Bytes of a layer that one of so many requests at once fetches (containerd 2.1 and later); null:
   * one request a layer.
   */
  parallel: { rangeBytes: number; requests: number } | null;
}

const DEBIANS: ContainerdPrograms = { containerd: 'containerd', ctr: 'ctr', parallel: null };

/** A real containerd with everything of its own: root, state, socket, content. */
export class Containerd {
  readonly daemon: Daemon;
  readonly #ctrProgram: string;
  readonly #socket: string;
  readonly #hostsDir: string;

  private constructor(daemon: Daemon, ctrProgram: string, socket: string, hostsDir: string) {
    this.daemon = daemon;
    this.#ctrProgram = ctrProgram;
    this.#socket = socket;
    this.#hostsDir = hostsDir;
  }

  static async start(dir: string, programs: ContainerdPrograms = DEBIANS): Promise<Containerd> {
    const hostsDir = join(dir, 'certs.d');
    await mkdir(hostsDir, { recursive: true });
    const socket = join(dir, 'containerd.sock');
    const config = join(dir, 'containerd.toml');
    await writeFile(
      config,
      [
        `version = ${programs.parallel === null ? 2 : 3}`,
        `root = "${join(dir, 'root')}"`,
        `state = "${join(dir, 'state')}"`,
        'disabled_plugins = ' +
          `${JSON.stringify(programs.parallel === null ? DISABLED : DISABLED_TODAY)}`,
        '[grpc]',
        `  address = "${socket}"`,
        '[ttrpc]',
        `  address = "${socket}.ttrpc"`,
        ...(programs.parallel === null
          ? []
          : [
              '[plugins."io.containerd.transfer.v1.local"]',
              `  max_concurrent_downloads = ${programs.parallel.requests}`,
              `  concurrent_layer_fetch_buffer = ${programs.parallel.rangeBytes}`,
              '  [[plugins."io.containerd.transfer.v1.local".unpack_config]]',
              '    platform = "linux/amd64"',
              '    snapshotter = "native"',
            ]),
        '',
      ].join('\n'),
    );
    const daemon = new Daemon(programs.containerd, ['--config', config]);
    await daemon.said(/containerd successfully booted/);
    return new Containerd(daemon, programs.ctr, socket, hostsDir);
  }

  /** Writes `certs.d/<registry>/hosts.toml`. */
  async configure(registry: string, hostsToml: string): Promise<void> {
    await mkdir(join(this.#hostsDir, registry), { recursive: true });
    await writeFile(join(this.#hostsDir, registry, 'hosts.toml'), hostsToml);
  }

  /** Pulls and unpacks `reference`; fails the test when that fails. */
  async pull(reference: string, credentials?: string, deadlineMs?: number): Promise<Finished> {
    return run(this.#ctrProgram, this.#pullArgs(reference, credentials), deadlineMs);
  }

  async tryPull(reference: string, credentials?: string): Promise<Finished> {
    return tryRun(this.#ctrProgram, this.#pullArgs(reference, credentials));
  }

  /** The digest of what `reference` was pulled as. */
  async digest(reference: string): Promise<string> {
    const { stdout } = await this.#run('images', 'list', `name==${reference}`);
    return /sha256:[0-9a-f]{64}/.exec(stdout)?.[0] ?? '';
  }

  /** The digests of all content, read and hashed anew. */
  async content(): Promise<string[]> {
    const { stdout } = await this.#run('content', 'list', '--quiet');
    return stdout
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .sort();
  }

  /** Forgets the image and every byte of it. */
  async remove(reference: string): Promise<void> {
    await this.#run('images', 'remove', '--sync', reference);
  }

  /**
   * Drops the layers of an image that is unpacked, as `discard_unpacked_layers` does: its manifest
   * no longer refers to them, and the garbage collection takes them.
   */
  async discardLayers(reference: string, manifest: string, layers: number): Promise<void> {
    const labels = Array.from(
      { length: layers },
      (_, at) => `containerd.io/gc.ref.content.l.${at}=`,
    );
    await this.#run('content', 'label', manifest, ...labels);
    await this.#run('images', 'tag', reference, `${reference}-collect`);
    await this.remove(`${reference}-collect`);
  }

  async stop(): Promise<void> {
    await this.daemon.stop();
  }

  #run(...args: string[]): Promise<Finished> {
    return run(this.#ctrProgram, this.#ctr(...args));
  }

  #pullArgs(reference: string, credentials?: string): string[] {
    return this.#ctr(
      'images',
      'pull',
      '--snapshotter',
      'native',
      '--platform',
      'linux/amd64',
      '--hosts-dir',
      this.#hostsDir,
      ...(credentials === undefined ? [] : ['--user', credentials]),
      reference,
    );
  }

  #ctr(...args: string[]): string[] {
    return ['--address', this.#socket, '--namespace', NAMESPACE, ...args];
  }
}
