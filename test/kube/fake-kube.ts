import {
  KubeError,
  kubePath,
  type KubeClient,
  type KubeList,
  type KubeObject,
  type KubeResource,
  type KubeScope,
  type KubeWatchEvent,
} from '../../lib/cluster/kubernetes/client.ts';

interface Watcher {
  scope: KubeScope;
  onEvent: (event: KubeWatchEvent<KubeObject>) => void;
  end: (error?: KubeError) => void;
}

/**
 * The Kubernetes API in memory: versions, conflicts, owners' uids, watches that can be broken off,
 * and requests that can be made to fail.
 */
export class FakeKube implements KubeClient {
  readonly objects = new Map<string, KubeObject>();
  /** Every write that was asked for, as `verb path`. */
  readonly writes: string[] = [];
  /** Lists, watches and gets asked for. */
  readonly reads: string[] = [];
  /** Throws for a request (`verb path`) that is to fail. */
  refuse: (call: string) => void = () => {};
  #version = 100;
  readonly #log: { version: number; resource: KubeResource; event: KubeWatchEvent<KubeObject> }[] =
    [];
  #forgottenUpTo = 0;
  readonly #watchers = new Set<Watcher>();

  get watchers(): number {
    return this.#watchers.size;
  }

  async get<T extends KubeObject>(
    resource: KubeResource,
    namespace: string | null,
    name: string,
  ): Promise<T | null> {
    await this.#ask('get', kubePath(resource, namespace, name), this.reads);
    return copy(this.objects.get(kubePath(resource, namespace, name)) ?? null) as T | null;
  }

  async list<T extends KubeObject>(scope: KubeScope, atMost?: number): Promise<KubeList<T>> {
    await this.#ask('list', kubePath(scope.resource, scope.namespace), this.reads);
    const items = [...this.objects]
      .filter(([path, object]) => inScope(scope, path, object))
      .map(([, object]) => copy(object) as T)
      .slice(0, atMost);
    return { items, resourceVersion: String(this.#version) };
  }

  async create<T extends KubeObject>(resource: KubeResource, object: T): Promise<T> {
    const path = kubePath(resource, object.metadata.namespace ?? null, object.metadata.name);
    await this.#ask('create', path, this.writes);
    if (this.objects.has(path)) throw new KubeError(409, 'AlreadyExists', path);
    return this.#store(resource, path, 'ADDED', {
      ...object,
      metadata: { ...object.metadata, uid: `uid-${this.#version + 1}` },
    });
  }

  async replace<T extends KubeObject>(resource: KubeResource, object: T): Promise<T> {
    const path = kubePath(resource, object.metadata.namespace ?? null, object.metadata.name);
    await this.#ask('replace', path, this.writes);
    const present = this.objects.get(path);
    if (present === undefined) throw new KubeError(404, 'NotFound', path);
    const { resourceVersion } = object.metadata;
    if (resourceVersion !== undefined && resourceVersion !== present.metadata.resourceVersion)
      throw new KubeError(409, 'Conflict', path);
    const { uid } = present.metadata;
    return this.#store(resource, path, 'MODIFIED', {
      ...object,
      metadata: { ...object.metadata, ...(uid === undefined ? {} : { uid }) },
    });
  }

  async patch<T extends KubeObject>(
    resource: KubeResource,
    namespace: string | null,
    name: string,
    operations: object[],
  ): Promise<T> {
    const path = kubePath(resource, namespace, name);
    await this.#ask('patch', path, this.writes);
    const target = copy(this.objects.get(path));
    if (target === undefined) throw new KubeError(404, 'NotFound', path);
    for (const { path: pointer, value } of operations as { path: string; value: unknown }[]) {
      const tokens = pointer.slice(1).split('/');
      const last = tokens.pop()!;
      let parent = target as unknown as Record<string, unknown>;
      for (const token of tokens) parent = parent[token] as Record<string, unknown>;
      parent[last] = value;
    }
    return this.#store(resource, path, 'MODIFIED', target as T);
  }

  async remove(
    resource: KubeResource,
    namespace: string | null,
    name: string,
    uid?: string,
  ): Promise<void> {
    const path = kubePath(resource, namespace, name);
    await this.#ask('remove', path, this.writes);
    const present = this.objects.get(path);
    if (present === undefined) return;
    if (uid !== undefined && uid !== present.metadata.uid)
      throw new KubeError(409, 'Conflict', path);
    this.objects.delete(path);
    this.#emit(resource, 'DELETED', present);
  }

  async watch<T extends KubeObject>(
    scope: KubeScope,
    resourceVersion: string,
    onEvent: (event: KubeWatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#ask('watch', kubePath(scope.resource, scope.namespace), this.reads);
    if (Number(resourceVersion) < this.#forgottenUpTo)
      throw new KubeError(410, 'Expired', 'too old');
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const watcher: Watcher = {
      scope,
      onEvent: onEvent as Watcher['onEvent'],
      end: (error) => (error === undefined ? resolve() : reject(error)),
    };
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
    for (const entry of this.#log)
      if (entry.version > Number(resourceVersion))
        this.#deliver(watcher, entry.resource, entry.event);
    this.#watchers.add(watcher);
    await promise.finally(() => this.#watchers.delete(watcher));
  }

  /** Breaks every watch off: as the server does from time to time, or with an error. */
  endWatches(error?: KubeError): void {
    for (const watcher of [...this.#watchers]) watcher.end(error);
  }

  /** From now on a watch cannot go on from a version of before. */
  forgetHistory(): void {
    this.#forgottenUpTo = ++this.#version;
    this.#log.length = 0;
  }

  /**
   * Goes on from a backup, as etcd restored from one does: what there is now was written at lower
   * versions than have been told of, and watches wait for versions to come.
   */
  restore(version: number): void {
    this.#version = version;
    this.#log.length = 0;
    for (const [path, object] of this.objects)
      this.objects.set(path, {
        ...object,
        metadata: { ...object.metadata, resourceVersion: String(version) },
      });
  }

  async #ask(verb: string, path: string, record: string[]): Promise<void> {
    record.push(`${verb} ${path}`);
    await Promise.resolve();
    this.refuse(`${verb} ${path}`);
  }

  #store<T extends KubeObject>(
    resource: KubeResource,
    path: string,
    type: 'ADDED' | 'MODIFIED',
    object: T,
  ): T {
    const stored = copy({
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(this.#version + 1) },
    });
    this.objects.set(path, stored);
    this.#emit(resource, type, stored);
    return copy(stored);
  }

  #emit(
    resource: KubeResource,
    type: KubeWatchEvent<KubeObject>['type'],
    object: KubeObject,
  ): void {
    const version = ++this.#version;
    const event = {
      type,
      object: copy({
        ...object,
        metadata: { ...object.metadata, resourceVersion: String(version) },
      }),
    };
    this.#log.push({ version, resource, event });
    for (const watcher of this.#watchers) this.#deliver(watcher, resource, event);
  }

  #deliver(
    { scope, onEvent }: Watcher,
    resource: KubeResource,
    event: KubeWatchEvent<KubeObject>,
  ): void {
    const path = kubePath(
      resource,
      event.object.metadata.namespace ?? null,
      event.object.metadata.name,
    );
    if (inScope(scope, path, event.object)) onEvent(copy(event));
  }
}

/**
 * Selectors as far as Shoal uses them: `key=value`, `metadata.name=value`, `type=value`, `key in
 * (a,b)`.
 */
function inScope(scope: KubeScope, path: string, object: KubeObject): boolean {
  const { namespace = null, name } = object.metadata;
  if (path !== kubePath(scope.resource, namespace, name)) return false;
  if (scope.namespace !== null && object.metadata.namespace !== scope.namespace) return false;
  const [field, wanted] = scope.fieldSelector?.split('=') ?? [];
  if (field === 'metadata.name' && object.metadata.name !== wanted) return false;
  if (field === 'type' && object.type !== wanted) return false;
  const label = /^(\S+) in \((.*)\)$/.exec(scope.labelSelector ?? '');
  return label === null || label[2]!.split(',').includes(object.metadata.labels?.[label[1]!] ?? '');
}

function copy<T>(value: T): T {
  return structuredClone(value);
}
