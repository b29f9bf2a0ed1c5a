import type { Clock } from '../../clock.ts';
import { KUBE_BACKOFF_MS_MAX, KUBE_BACKOFF_MS_MIN } from '../limits.ts';
import { KUBE_RESYNC_MS } from '../../limits.ts';
import {
  KubeError,
  type KubeClient,
  type KubeObject,
  type KubeScope,
  type KubeWatchEvent,
} from './client.ts';

interface InformerOptions {
  client: KubeClient;
  clock: Clock;
  /** In [0, 1): jitter for the retries of many informers. */
  random: () => number;
  /**
   * Called with the keys (`namespace/name`) of objects that were added, changed or removed: all
   * keys of a list at once, then one by one.
   */
  onChange: (keys: string[]) => void;
  /** Called on every failed list or watch; the informer retries. */
  onError?: (error: KubeError) => void;
}

/**
 * A local copy of a set of objects. It lists them, then watches from there. It lists again when the
 * API no longer knows the watch's version, and every KUBE_RESYNC_MS in case an event was lost.
 * While the API is down the last copy stays in force.
 */
export class Informer<T extends KubeObject> {
  readonly #scope: KubeScope;
  readonly #options: InformerOptions;
  readonly #objects = new Map<string, T>();
  readonly #abort = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  #isSynced = false;
  /** The version up to which list and watch have reported everything; -1 before the first list. */
  #toldUpTo = -1n;
  #heardMs = -Infinity;
  #failures = 0;
  #running: Promise<void> | null = null;

  constructor(scope: KubeScope, options: InformerOptions) {
    this.#scope = scope;
    this.#options = options;
  }

  /** Resolves after the first complete list. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** The version up to which the copy is complete; 0 before the first list. */
  get version(): number {
    return Math.max(0, Number(this.#toldUpTo));
  }

  /** When the API last answered, on the clock; -Infinity: never. */
  get heardMs(): number {
    return this.#heardMs;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  get(namespace: string | undefined, name: string): T | null {
    return this.#objects.get(objectKey({ namespace, name })) ?? null;
  }

  objects(): IterableIterator<T> {
    return this.#objects.values();
  }

  /**
   * Stores an object that the caller has just read or written, ahead of the watch. Ignored if the
   * copy has a newer version, or if the watch has passed that version: the object was then removed
   * since.
   */
  note(object: T): void {
    const key = objectKey(object.metadata);
    const version = versionOf(object);
    if (version > this.#toldUpTo && version > versionOf(this.#objects.get(key)))
      this.#objects.set(key, object);
  }

  async #run(): Promise<void> {
    let version: string | null = null;
    let relistAtMs = 0;
    while (!this.#abort.signal.aborted) {
      try {
        if (version === null || this.#options.clock.nowMs() >= relistAtMs) {
          version = await this.#list();
          relistAtMs = this.#options.clock.nowMs() + KUBE_RESYNC_MS;
        }
        await this.#watch(version, (seen) => (version = seen));
      } catch (thrown) {
        const error =
          thrown instanceof KubeError
            ? thrown
            : new KubeError(0, 'Internal', String(thrown), thrown);
        // 410: the API no longer has that version; only a new list can continue.
        if (error.status === 410) version = null;
        else this.#options.onError?.(error);
        await this.#backOff();
      }
    }
  }

  async #list(): Promise<string> {
    const { items, resourceVersion } = await this.#options.client.list<T>(this.#scope);
    const listed = asVersion(resourceVersion);
    // Versions that run backward mean that etcd was restored from a backup: earlier versions no
    // longer compare.
    const isRestored = listed < this.#toldUpTo;
    const gone = new Set(this.#objects.keys());
    const changed: string[] = [];
    for (const item of items) {
      const key = objectKey(item.metadata);
      gone.delete(key);
      if (!isRestored && versionOf(this.#objects.get(key)) >= versionOf(item)) continue;
      changed.push(key);
      this.#objects.set(key, item);
    }
    for (const key of gone) {
      // Written after the list was taken (`note`); the watch will report it.
      if (!isRestored && versionOf(this.#objects.get(key)) > listed) gone.delete(key);
      else this.#objects.delete(key);
    }
    this.#toldUpTo = listed;
    this.#heard();
    const first = !this.#isSynced;
    this.#isSynced = true;
    if (first || changed.length > 0 || gone.size > 0) this.#tell([...changed, ...gone]);
    this.#synced.resolve();
    return resourceVersion;
  }

  async #watch(from: string, seen: (version: string) => void): Promise<void> {
    const take = ({ type, object }: KubeWatchEvent<T>): void => {
      this.#heard();
      if (object.metadata.resourceVersion !== undefined) seen(object.metadata.resourceVersion);
      if (versionOf(object) > this.#toldUpTo) this.#toldUpTo = versionOf(object);
      if (type === 'BOOKMARK') return;
      const key = objectKey(object.metadata);
      // `note` may have stored a version that is ahead of the watch.
      if (versionOf(object) < versionOf(this.#objects.get(key))) return;
      if (type === 'DELETED') this.#objects.delete(key);
      else this.#objects.set(key, object);
      this.#tell([key]);
    };
    const beganMs = this.#options.clock.nowMs();
    await this.#options.client.watch<T>(this.#scope, from, take, this.#abort.signal);
    this.#heardMs = this.#options.clock.nowMs();
    // Without a pause, a server that ends watches at once would be asked in a loop.
    if (this.#options.clock.nowMs() - beganMs < KUBE_BACKOFF_MS_MIN) await this.#backOff();
  }

  #heard(): void {
    this.#failures = 0;
    this.#heardMs = this.#options.clock.nowMs();
  }

  #tell(keys: string[]): void {
    if (!this.#abort.signal.aborted) this.#options.onChange(keys);
  }

  /** Exponential back-off with 50 % jitter; `stop` ends it early. */
  async #backOff(): Promise<void> {
    const { signal } = this.#abort;
    if (signal.aborted) return;
    const fullMs = Math.min(
      KUBE_BACKOFF_MS_MAX,
      KUBE_BACKOFF_MS_MIN * 2 ** Math.min(this.#failures++, 16),
    );
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.after(fullMs * (0.5 + this.#options.random() / 2), resolve);
    const end = (): void => resolve();
    signal.addEventListener('abort', end);
    await promise;
    signal.removeEventListener('abort', end);
    timer.cancel();
  }
}

/** `namespace/name`, or `/name` for a cluster-scoped object. */
function objectKey({ namespace, name }: { namespace?: string | undefined; name: string }): string {
  return `${namespace ?? ''}/${name}`;
}

function versionOf(object: KubeObject | undefined): bigint {
  return asVersion(object?.metadata.resourceVersion);
}

/**
 * resourceVersions of one resource type increase (Kubernetes, "API Concepts", Resource versions);
 * -1 if there is none.
 */
function asVersion(text: string | undefined): bigint {
  return text !== undefined && /^[0-9]+$/.test(text) ? BigInt(text) : -1n;
}
