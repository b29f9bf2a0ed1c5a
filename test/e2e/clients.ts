import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from 'mocha';
import { CertsDir } from '../../lib/runtimes/certs-dir.ts';
import { replaceFile, systemDisk } from '../../lib/runtimes/disk.ts';
import { dropInFor, dropInName } from '../../lib/runtimes/podman-registries.ts';
import { needs } from '../programs.ts';
import { containerdAssets } from './assets.ts';
import { Containerd, type ContainerdPrograms } from './containerd.ts';
import { tryRun, type Finished } from './daemon.ts';
import { digestOf } from './image.ts';

/** How containerd of today reads a layer here. */
export const RANGE_BYTES = 1024 * 1024;
export const RANGES_AT_ONCE = 4;

/**
 * Something that pulls images, with everything of its own. References are
 * `<registry>/<repository>:<tag>`.
 */
export interface Client {
  /**
   * Lets it ask `mirror` (a URL) first for images of `registry`, with the files our commands write;
   * null: nobody but the registry, as before.
   */
  mirror(registry: string, mirror: string | null, ca?: string): Promise<void>;
  /** `credentials` are `user:password`. */
  tryPull(reference: string, credentials?: string): Promise<Finished>;
  /**
   * Digests of all that `reference` was pulled as, by the client's own reckoning or from the bytes
   * it stored, in order.
   */
  pulled(reference: string): Promise<string[]>;
  forget(reference: string): Promise<void>;
  stop(): Promise<void>;
}

export class ContainerdClient implements Client {
  readonly #containerd: Containerd;
  readonly #certs: CertsDir;

  private constructor(containerd: Containerd, certs: CertsDir) {
    this.#containerd = containerd;
    this.#certs = certs;
  }

  static async start(dir: string, programs?: ContainerdPrograms): Promise<ContainerdClient> {
    return new ContainerdClient(
      await Containerd.start(dir, programs),
      new CertsDir(join(dir, 'certs.d')),
    );
  }

  async mirror(registry: string, mirror: string | null, ca?: string): Promise<void> {
    if (mirror === null) this.#certs.restore(registry);
    else this.#certs.configure(registry, { url: mirror, ca: ca ?? null });
  }

  tryPull(reference: string, credentials?: string): Promise<Finished> {
    return this.#containerd.tryPull(reference, credentials);
  }

  /**
   * containerd hashes what it stores as it stores it: the names of its content are what the bytes
   * are.
   */
  async pulled(reference: string): Promise<string[]> {
    return [await this.#containerd.digest(reference), ...(await this.#containerd.content())];
  }

  forget(reference: string): Promise<void> {
    return this.#containerd.remove(reference);
  }

  stop(): Promise<void> {
    return this.#containerd.stop();
  }
}

/** skopeo and podman read the same drop-ins, under a home of their own. */
abstract class LibraryClient implements Client {
  protected readonly dir: string;
  readonly #home: string;
  readonly #conf: string;
  #mirror: string | null = null;

  constructor(dir: string) {
    this.dir = dir;
    this.#home = join(dir, 'home');
    this.#conf = join(this.#home, '.config/containers/registries.conf.d');
  }

  async mirror(registry: string, mirror: string | null): Promise<void> {
    await mkdir(this.#conf, { recursive: true });
    const file = join(this.#conf, dropInName(registry));
    this.#mirror = mirror;
    if (mirror === null) await rm(file, { force: true });
    else replaceFile(systemDisk, file, dropInFor(registry, mirror));
  }

  abstract tryPull(reference: string, credentials?: string): Promise<Finished>;
  abstract pulled(reference: string): Promise<string[]>;
  abstract forget(reference: string): Promise<void>;
  async stop(): Promise<void> {}

  /**
   * A password for the registry on the command line is not sent to its mirrors: each has its own
   * entry, as after `podman login`.
   */
  protected async login(reference: string, credentials?: string): Promise<string[]> {
    if (credentials === undefined) return [];
    const hosts = [
      reference.split('/')[0]!,
      ...(this.#mirror === null ? [] : [new URL(this.#mirror).host]),
    ];
    const file = join(this.dir, 'auth.json');
    await writeFile(
      file,
      JSON.stringify({
        auths: Object.fromEntries(
          hosts.map((host) => [host, { auth: Buffer.from(credentials).toString('base64') }]),
        ),
      }),
    );
    return ['--authfile', file];
  }

  protected run(program: string, ...args: string[]): Promise<Finished> {
    return tryRun('env', [`HOME=${this.#home}`, program, ...args]);
  }
}

export class SkopeoClient extends LibraryClient {
  async tryPull(reference: string, credentials?: string): Promise<Finished> {
    return this.run(
      'skopeo',
      'copy',
      '--retry-times',
      '3',
      '--src-tls-verify=false',
      '--preserve-digests',
      ...(await this.login(reference, credentials)),
      `docker://${reference}`,
      `dir:${this.#target(reference)}`,
    );
  }

  async pulled(reference: string): Promise<string[]> {
    const target = this.#target(reference);
    const files = (await readdir(target)).filter((name) => name !== 'version').sort();
    return Promise.all(files.map(async (name) => digestOf(await readFile(join(target, name)))));
  }

  async forget(reference: string): Promise<void> {
    await rm(this.#target(reference), { recursive: true });
  }

  #target(reference: string): string {
    return join(this.dir, reference.replaceAll(/[^\w.]/g, '_'));
  }
}

export class PodmanClient extends LibraryClient {
  async tryPull(reference: string, credentials?: string): Promise<Finished> {
    return this.#podman(
      'pull',
      '--tls-verify=false',
      ...(await this.login(reference, credentials)),
      reference,
    );
  }

  /**
   * podman keeps no layer as it came, but unpacks them under the digests of their contents, which
   * it checks.
   */
  async pulled(reference: string): Promise<string[]> {
    const { stdout } = await this.#podman(
      'image',
      'inspect',
      '--format',
      '{{.Digest}} sha256:{{.Id}}{{range .RootFS.Layers}} {{.}}{{end}}',
      reference,
    );
    return stdout.trim().split(' ');
  }

  async forget(reference: string): Promise<void> {
    await this.#podman('image', 'rm', '--force', reference);
  }

  /** Driver vfs, no cgroups, no journal: what runs in any sandbox. */
  #podman(...args: string[]): Promise<Finished> {
    return this.run(
      'podman',
      '--root',
      join(this.dir, 'root'),
      '--runroot',
      join(this.dir, 'run'),
      '--tmpdir',
      join(this.dir, 'tmp'),
      '--storage-driver',
      'vfs',
      '--cgroup-manager',
      'cgroupfs',
      '--events-backend',
      'none',
      ...args,
    );
  }
}

/**
 * Every client there is to test with, and how it is started with all its own in a folder; skips,
 * aloud, what this machine has not.
 */
export const CLIENTS: readonly [
  name: string,
  start: (context: Context, dir: string) => Promise<Client>,
][] = [
  [
    'containerd 1.6',
    async (context, dir) => {
      needs(context, 'containerd', 'ctr', 'runc');
      return ContainerdClient.start(dir);
    },
  ],
  [
    'containerd 2.4',
    async (context, dir) => {
      const [containerd = '', ctr = ''] = containerdAssets.needs(context, 'containerd', 'ctr');
      return ContainerdClient.start(dir, {
        containerd,
        ctr,
        parallel: { rangeBytes: RANGE_BYTES, requests: RANGES_AT_ONCE },
      });
    },
  ],
  ['skopeo', async (_context, dir) => new SkopeoClient(dir)],
  [
    'podman',
    async (context, dir) => {
      needs(context, 'podman');
      return new PodmanClient(dir);
    },
  ],
];
