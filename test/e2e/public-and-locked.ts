import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../free-ports.ts';
import { CountingProxy } from './counting-proxy.ts';
import { ShoalNode } from './node.ts';
import { DockerRegistry } from './registry.ts';
import { TokenServer } from './token-server.ts';

/** User and password that the locked registry accepts. */
export const CREDENTIALS = 'alice:wonder';

/** A config is smaller than a shard and may be requested together with the right to read it. */
export const SLACK_BYTES = 2_000;

/**
 * A node before two registries: a public one, and one behind a token server. Each list has the
 * public one first. Images go by the names of `registrySide`.
 */
export class PublicAndLocked {
  node!: ShoalNode;
  readonly registries: DockerRegistry[] = [];
  /** Between the node and the registries. */
  readonly registrySide: CountingProxy[] = [];
  /** Between the clients and the node. */
  readonly clientSide: CountingProxy[] = [];
  #tokens: TokenServer | undefined;

  /** Starts everything under `dir`; `lockedRepository` is what CREDENTIALS may read. */
  async start(dir: string, lockedRepository: string): Promise<void> {
    const [name, password] = CREDENTIALS.split(':') as [string, string];
    this.#tokens = await TokenServer.start(dir, {
      [name]: { password, repositories: [lockedRepository] },
    });
    const [port = 0] = await freePorts(1);
    for (const auth of [undefined, this.#tokens]) {
      const home = join(dir, auth === undefined ? 'public' : 'locked');
      await mkdir(home);
      const registry = await DockerRegistry.start(home, auth);
      this.registries.push(registry);
      this.registrySide.push(await CountingProxy.start(registry.port));
      this.clientSide.push(await CountingProxy.start(port));
    }
    this.node = await ShoalNode.start(join(dir, 'node'), {
      ProxyConfig: {
        port,
        registries: this.registrySide.map(({ host }, at) => ({
          p2pHost: this.clientSide[at]!.host,
          upstream: `http://${host}`,
        })),
      },
    });
  }

  /** Stops what was started; also after a start that failed. */
  async stop(): Promise<void> {
    await Promise.all([
      this.node?.stop(),
      this.#tokens?.stop(),
      ...this.registries.map((one) => one.stop()),
      ...[...this.registrySide, ...this.clientSide].map((one) => one.stop()),
    ]);
  }
}
