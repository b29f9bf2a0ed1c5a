/** What every object of the Kubernetes API has. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string }[];
  };
  [field: string]: unknown;
}

/**
 * A kind of objects by its place in the API: `/api/v1` or `/apis/<group>/<version>`, and the
 * plural.
 */
export interface KubeResource {
  readonly base: string;
  readonly plural: string;
}

export const SECRETS: KubeResource = { base: '/api/v1', plural: 'secrets' };
export const LEASES: KubeResource = { base: '/apis/coordination.k8s.io/v1', plural: 'leases' };
export const ENDPOINT_SLICES: KubeResource = {
  base: '/apis/discovery.k8s.io/v1',
  plural: 'endpointslices',
};
export const MUTATING_WEBHOOKS: KubeResource = {
  base: '/apis/admissionregistration.k8s.io/v1',
  plural: 'mutatingwebhookconfigurations',
};

/** A set of objects of one kind: of one namespace, or of all (null), narrowed by selectors. */
export interface KubeScope {
  readonly resource: KubeResource;
  readonly namespace: string | null;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface KubeList<T extends KubeObject> {
  items: T[];
  /** Where a watch goes on from this list. */
  resourceVersion: string;
}

export interface KubeWatchEvent<T extends KubeObject> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  object: T;
}

/**
 * The API server refused, or could not be asked (`status` 0). Its message never holds an object's
 * content.
 */
export class KubeError extends Error {
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /**
   * The reason of the API's Status object: `NotFound`, `AlreadyExists`, `Conflict`, `Forbidden`,
   * `Expired`, ...
   */
  readonly reason: string;

  constructor(status: number, reason: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'KubeError';
    this.status = status;
    this.reason = reason;
  }
}

/**
 * The few verbs Shoal needs of the Kubernetes API. `namespace` is null for objects that have none.
 * Every method but `get` and `remove` rejects with KubeError on any status of 400 and above.
 */
export interface KubeClient {
  /** The object, or null when there is none. */
  get<T extends KubeObject>(
    resource: KubeResource,
    namespace: string | null,
    name: string,
  ): Promise<T | null>;
  list<T extends KubeObject>(scope: KubeScope): Promise<KubeList<T>>;
  create<T extends KubeObject>(resource: KubeResource, object: T): Promise<T>;
  /** Replaces an object; 409 when its resourceVersion, if given, is no longer the present one. */
  replace<T extends KubeObject>(resource: KubeResource, object: T): Promise<T>;
  /** Applies a JSON patch (RFC 6902). */
  patch<T extends KubeObject>(
    resource: KubeResource,
    namespace: string | null,
    name: string,
    operations: object[],
  ): Promise<T>;
  /**
   * Removes an object; one that is gone already is no error. With `uid`, only that very object (409
   * otherwise).
   */
  remove(
    resource: KubeResource,
    namespace: string | null,
    name: string,
    uid?: string,
  ): Promise<void>;
  /**
   * Tells what happens after `resourceVersion`, until the server ends the watch (resolves), it
   * fails (rejects; status 410: that version is too old to go on from) or `signal` is aborted
   * (resolves).
   */
  watch<T extends KubeObject>(
    scope: KubeScope,
    resourceVersion: string,
    onEvent: (event: KubeWatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<void>;
}

/** The path of a collection, or of one object of it. */
export function kubePath(resource: KubeResource, namespace: string | null, name?: string): string {
  const within = namespace === null ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${resource.base}${within}/${resource.plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
}
