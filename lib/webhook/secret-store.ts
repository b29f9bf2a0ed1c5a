import type { Clock } from '../clock.ts';
import { SECRETS, type KubeClient, type KubeError } from '../cluster/kubernetes/client.ts';
import { Informer } from '../cluster/kubernetes/informer.ts';
import { PULL_SECRET_TYPES, type Secret } from './pull-secret.ts';

interface SecretStoreOptions {
  client: KubeClient;
  /** The only namespaces to read; empty: all of them. */
  namespaces?: readonly string[];
  clock: Clock;
  random: () => number;
  /** `namespace/name` of pull secrets that were added, changed or removed. */
  onChange: (keys: string[]) => void;
  onError: (error: KubeError) => void;
}

/**
 * A cache of every pull secret of the cluster, originals and copies, kept by one watch per type.
 * Other secrets are never read.
 */
export class SecretStore {
  readonly #informers: {
    type: string;
    namespace: string | null;
    informer: Informer<Secret>;
  }[];

  constructor(options: SecretStoreOptions) {
    const { namespaces = [] } = options;
    const scopes = namespaces.length === 0 ? [null] : namespaces;
    this.#informers = PULL_SECRET_TYPES.flatMap((type) =>
      scopes.map((namespace) => ({
        type,
        namespace,
        informer: new Informer<Secret>(
          { resource: SECRETS, namespace, fieldSelector: `type=${type}` },
          options,
        ),
      })),
    );
  }

  get isSynced(): boolean {
    return this.#informers.every(({ informer }) => informer.isSynced);
  }

  start(): void {
    for (const { informer } of this.#informers) informer.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#informers.map(({ informer }) => informer.stop()));
  }

  get(namespace: string, name: string): Secret | null {
    for (const { informer } of this.#informers) {
      const found = informer.get(namespace, name);
      if (found !== null) return found;
    }
    return null;
  }

  *secrets(): Generator<Secret> {
    for (const { informer } of this.#informers) yield* informer.objects();
  }

  /** Stores a pull secret that was just read or written, ahead of the watch. */
  note(secret: Secret): void {
    const own = this.#informers.find(
      ({ type, namespace }) =>
        type === secret.type && (namespace === null || namespace === secret.metadata.namespace),
    );
    own?.informer.note(secret);
  }
}
