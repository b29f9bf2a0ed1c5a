import type { Clock, Timer } from '../clock.ts';
import { ShoalError } from '../errors.ts';
import type { CertsDir } from './certs-dir.ts';
import { serverOf, type Mirror } from './hosts-toml.ts';
import { HOSTS_SETTLE_MS, NODE_PROBE_MS } from './limits.ts';
import type { Liveness } from './node-liveness.ts';

/** A host whose images containerd pulls through the node. */
export interface KeptHost {
  registry: string;
  /** The registry that the images are in, `https://host[:port]`. */
  server: string;
}

interface HostsKeeperOptions {
  certs: CertsDir;
  hosts: readonly KeptHost[];
  mirror: Mirror;
  clock: Clock;
  liveness: () => Promise<Liveness>;
  /** Told after the pass that has left the silent node out, at every probe. */
  onSilent?: () => void;
  /** Calls back after changes below the directory of registry hosts; returns how to stop. */
  watch: (onChange: () => void) => () => void;
  /** Told after each pass that changed something: what is configured, and what is wrong. */
  onPass: (state: HostsState) => void;
}

export interface HostsState {
  /** Hosts whose file is in place. */
  readonly hosts: readonly string[];
  readonly problems: readonly string[];
  readonly liveness: Liveness;
}

/**
 * Keeps containerd's hosts.toml files in place while a node runs: writes them again when another
 * program (k3s, RKE2, nodeadm, Talos) replaces them, and takes the node out of them while it is
 * silent, so that no pull waits for it.
 */
export class HostsKeeper {
  readonly #options: HostsKeeperOptions;
  #liveness: Liveness = 'refuses';
  #told = '';
  #timer: Timer | null = null;
  #settling: Timer | null = null;
  #unwatch: () => void = () => {};
  #stopped = false;
  #probing: Promise<void> = Promise.resolve();

  constructor(options: HostsKeeperOptions) {
    this.#options = options;
  }

  /** The first pass is done when this returns. */
  start(): void {
    this.#unwatch = this.#options.watch(() => this.#settle());
    this.#pass();
    this.#probe();
  }

  /**
   * Stops. Files of plain registries are restored. Files of P2P hosts stay unless `removeAll`: pods
   * that were rewritten to them must still start, from the registry.
   */
  async stop(removeAll = false): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#settling?.cancel();
    this.#unwatch();
    await this.#probing;
    const problems = this.#options.hosts.flatMap((host) =>
      removeAll || !isP2pHost(host)
        ? this.#attempt(() => void this.#options.certs.restore(host.registry))
        : // Whoever comes next finds a node that refuses connections, or answers.
          this.#attempt(() => this.#configure(host, this.#options.mirror)),
    );
    if (problems.length > 0) throw new ShoalError('FILE_UNUSABLE', problems.join('\n'));
  }

  /** Several events of one rewrite lead to one pass. */
  #settle(): void {
    if (this.#stopped || this.#settling !== null) return;
    this.#settling = this.#options.clock.after(HOSTS_SETTLE_MS, () => {
      this.#settling = null;
      this.#pass();
    });
  }

  #probe(): void {
    this.#probing = this.#options.liveness().then((liveness) => {
      if (this.#stopped) return;
      this.#liveness = liveness;
      // Also finds what the watch has missed: a directory that was replaced.
      this.#pass();
      if (liveness === 'silent') this.#options.onSilent?.();
      // A silent node has just been waited for.
      const pauseMs = liveness === 'silent' ? 0 : NODE_PROBE_MS;
      this.#timer = this.#options.clock.after(pauseMs, () => this.#probe());
    });
  }

  #pass(): void {
    if (this.#stopped) return;
    const { certs, hosts, mirror, onPass } = this.#options;
    const isSilent = this.#liveness === 'silent';
    const done: string[] = [];
    const problems = hosts.flatMap((host) => {
      const found = this.#attempt(() => {
        if (!isSilent) this.#configure(host, mirror);
        else if (isP2pHost(host)) this.#configure(host, null);
        else certs.restore(host.registry);
      });
      if (found.length === 0) done.push(host.registry);
      return found;
    });
    const state: HostsState = { hosts: done.sort(), problems, liveness: this.#liveness };
    const told = JSON.stringify(state);
    if (told === this.#told) return;
    this.#told = told;
    onPass(state);
  }

  #configure({ registry, server }: KeptHost, mirror: Mirror | null): void {
    this.#options.certs.configure(registry, mirror, server);
  }

  /** The problem in one line, or nothing. */
  #attempt(work: () => void): string[] {
    try {
      work();
      return [];
    } catch (error) {
      return [ShoalError.from(error).message];
    }
  }
}

/** Whether a host is an address for images only, with the registry elsewhere. */
export function isP2pHost({ registry, server }: KeptHost): boolean {
  return registry !== '_default' && server !== serverOf(registry);
}
