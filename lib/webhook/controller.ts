import type { Logger } from 'pino';
import type { Clock, Timer } from '../clock.ts';
import { COPIES_AT_ONCE, COPY_RETRY_MS_MAX, COPY_RETRY_MS_MIN } from './limits.ts';
import { KUBE_RESYNC_MS } from '../limits.ts';
import type { CopyKeeper, CopyOutcome } from './copy-keeper.ts';
import { COPY_OF_ANNOTATION, copyName, isCopy, type Secret } from './pull-secret.ts';
import { RetryQueue } from './retry-queue.ts';
import type { SecretStore } from './secret-store.ts';

interface ControllerOptions {
  store: SecretStore;
  keeper: CopyKeeper;
  clock: Clock;
  random: () => number;
  log: Logger;
  onOutcome?: (outcome: CopyOutcome | 'failed') => void;
}

/**
 * Keeps a copy of every pull secret that holds credentials for a rewritten registry, in every
 * namespace that allows copies. Runs on the leader only; followers just watch.
 */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #queue: RetryQueue;
  #leads = false;
  #resync: Timer | null = null;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#queue = new RetryQueue({
      work: (key) => this.#reconcile(key),
      onError: (key, error) => {
        options.onOutcome?.('failed');
        options.log.warn({ err: error, pullSecret: key }, 'cannot copy a pull secret; retrying');
      },
      clock: options.clock,
      random: options.random,
      atOnce: COPIES_AT_ONCE,
      retryMsMin: COPY_RETRY_MS_MIN,
      retryMsMax: COPY_RETRY_MS_MAX,
    });
  }

  /** Called for pull secrets that were added, changed or removed (`namespace/name`). */
  changed(keys: Iterable<string>): void {
    // Until both types are listed, a missing secret may only not have been read yet.
    if (!this.#leads || !this.#options.store.isSynced) return;
    for (const key of keys) this.#enqueue(key);
  }

  /** Called for namespaces that were added, changed or removed: they may allow copies now. */
  namespacesChanged(names: Iterable<string>): void {
    const changed = new Set(names);
    const secrets = [...this.#options.store.secrets()];
    this.changed(
      secrets.filter(({ metadata }) => changed.has(metadata.namespace ?? '')).map(keyOf),
    );
  }

  /** On election, enqueues every pull secret. On loss of the lease, drops all queued work. */
  lead(leads: boolean): void {
    this.#leads = leads;
    this.#resync?.cancel();
    if (leads) this.#all();
    else this.#queue.clear();
  }

  stop(): void {
    this.lead(false);
    this.#queue.close();
  }

  #all(): void {
    this.changed([...this.#options.store.secrets()].map(keyOf));
    this.#resync = this.#options.clock.after(KUBE_RESYNC_MS, () => this.#all());
  }

  #enqueue(key: string): void {
    const [namespace = '', name = ''] = key.split('/');
    this.#queue.add(`${namespace}/${this.#originalName(namespace, name)}`);
  }

  /**
   * For a copy, present or just removed: the name of its original. For any other secret: its own
   * name.
   */
  #originalName(namespace: string, name: string): string {
    const secret = this.#options.store.get(namespace, name);
    if (secret !== null)
      return isCopy(secret) ? (secret.metadata.annotations?.[COPY_OF_ANNOTATION] ?? name) : name;
    const original = /^acr-credential-(.+)-p2p$/.exec(name)?.[1] ?? name;
    // A truncated name does not contain the original's name; look for the original by its copy
    // name.
    const isCut = original !== name && /-[0-9a-f]{10}$/.test(original);
    const whole = isCut
      ? [...this.#options.store.secrets()].find(
          ({ metadata }) => metadata.namespace === namespace && copyName(metadata.name) === name,
        )
      : undefined;
    return whole?.metadata.name ?? original;
  }

  async #reconcile(key: string): Promise<void> {
    const [namespace = '', name = ''] = key.split('/');
    if (!this.#leads) return;
    const outcome = await this.#options.keeper.ensure(namespace, name);
    this.#options.onOutcome?.(outcome);
    if (outcome !== 'none')
      this.#options.log.info({ pullSecret: key, outcome }, 'pull-secret copy reconciled');
  }
}

function keyOf({ metadata }: Secret): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
