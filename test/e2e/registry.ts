import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Daemon, run } from './daemon.ts';
import type { TokenServer } from './token-server.ts';

/** Who is let in: those with a token of a token server, or with a name and password of a file. */
type RegistryAuth = TokenServer | { htpasswdFile: string };

/** Debian's docker-registry on a free port of loopback. */
export class DockerRegistry {
  readonly port: number;
  readonly #daemon: Daemon;

  private constructor(daemon: Daemon, port: number) {
    this.#daemon = daemon;
    this.port = port;
  }

  /**
   * `dir` holds its config and its blobs. Without `auth` everybody gets in; with `remoteUrl` it is
   * a pull-through cache of that registry.
   */
  static async start(
    dir: string,
    auth?: RegistryAuth,
    port = 0,
    remoteUrl?: string,
  ): Promise<DockerRegistry> {
    const config = {
      version: '0.1',
      log: { level: 'info', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(dir, 'registry') }, delete: { enabled: true } },
      http: { addr: `127.0.0.1:${port}`, relativeurls: true, secret: 'only for tests' },
      ...(auth === undefined ? {} : { auth: authOf(auth) }),
      ...(remoteUrl === undefined ? {} : { proxy: { remoteurl: remoteUrl } }),
    };
    const file = join(dir, 'registry.json');
    // JSON is YAML.
    await writeFile(file, JSON.stringify(config));
    const daemon = new Daemon('docker-registry', ['serve', file]);
    const [, said] = await daemon.said(/listening on 127\.0\.0\.1:(\d+)/);
    return new DockerRegistry(daemon, Number(said));
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Brings `image` in as `<repository>:<tag>`, an index with all it names. */
  async push(
    image: { dir: string; tag: string },
    repository: string,
    credentials?: string,
  ): Promise<void> {
    const login = credentials === undefined ? [] : ['--dest-creds', credentials];
    await run('skopeo', [
      'copy',
      '--all',
      '--preserve-digests',
      '--dest-tls-verify=false',
      ...login,
      `oci:${image.dir}:${image.tag}`,
      `docker://${this.host}/${repository}:${image.tag}`,
    ]);
  }

  async stop(): Promise<void> {
    await this.#daemon.stop();
  }
}

function authOf(auth: RegistryAuth): object {
  if ('htpasswdFile' in auth) return { htpasswd: { realm: 'tests', path: auth.htpasswdFile } };
  return {
    token: {
      realm: auth.realm,
      service: auth.service,
      issuer: auth.issuer,
      rootcertbundle: auth.certFile,
    },
  };
}
