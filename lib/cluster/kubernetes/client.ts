/** The fields that all Kubernetes objects share. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    deletionTimestamp?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string }[];
  };
  [field: string]: unknown;
}

/** A resource type by its API path: `/api/v1` or `/apis/<group>/<version>`, and the plural name. */
export interface KubeResource {
  readonly base: string;
  readonly plural: string;
}

export const SECRETS: KubeResource = { base: '/api/v1', plural: 'secrets' };
export const LEASES: KubeResource = { base: '/apis/coordination.k8s.io/v1', plural: 'leases' };
export const EVENTS: KubeResource = { base: '/api/v1', plural: 'events' };
export const NAMESPACES: KubeResource = { base: '/api/v1', plural: 'namespaces' };
export const NODES: KubeResource = { base: '/api/v1', plural: 'nodes' };
export const ENDPOINT_SLICES: KubeResource = {
  base: '/apis/discovery.k8s.io/v1',
  plural: 'endpointslices',
};
export const MUTATING_WEBHOOKS: KubeResource = {
  base: '/apis/admissionregistration.k8s.io/v1',
  plural: 'mutatingwebhookconfigurations',
};

/** A set of objects of one type, in one namespace or all (null), narrowed by selectors. */
export interface KubeScope {
  readonly resource: KubeResource;
  readonly namespace: string | null;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Only `metadata` of each object: less to send and to keep where the rest is not needed. */
  readonly metadataOnly?: boolean;
}

export interface KubeList<T extends KubeObject> {
  items: T[];
  /** A watch can resume from this version. */
  resourceVersion: string;
}

export interface KubeWatchEvent<T extends KubeObject> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  object: T;
}

/**
 * The API server refused a request, or was unreachable (`status` 0). The message never contains an
 * object's content.
 */
export class KubeError extends Error {
  /** HTTP status; 0 without an answer. */
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
 * The verbs of the Kubernetes API that Shoal uses. `namespace` is null for cluster-scoped objects.
 * Every method except `get` and `remove` rejects with KubeError on a status of 400 or above.
 */
export interface KubeClient {
  /** The object, or null if it does not exist. */
  get<T extends KubeObject>(
    resource: KubeResource,
    namespace: string | null,
    name: string,
  ): Promise<T | null>;
  /** All objects of a scope, or with `atMost` some of them, in one page. */
  list<T extends KubeObject>(scope: KubeScope, atMost?: number): Promise<KubeList<T>>;
  create<T extends KubeObject>(resource: KubeResource, object: T): Promise<T>;
  /** Replaces an object. Status 409 if its resourceVersion is given and outdated. */
  replace<T extends KubeObject>(resource: KubeResource, object: T): Promise<T>;
  /** Applies a JSON patch (RFC 6902). */
  patch<T extends KubeObject>(
    resource: KubeResource,
    namespace: string | null,
    name: string,
    operations: object[],
  ): Promise<T>;
  /**
   * Removes an object; succeeds if it is already gone. With `uid`, removes only that object (409
   * otherwise).
   */
  remove(
    resource: KubeResource,
    namespace: string | null,
    name: string,
    uid?: string,
  ): Promise<void>;
  /**
   * Reports the changes after `resourceVersion` until the server ends the watch (resolves), the
   * watch fails (rejects; status 410: the version is too old) or `signal` is aborted (resolves).
   */
  watch<T extends KubeObject>(
    scope: KubeScope,
    resourceVersion: string,
    onEvent: (event: KubeWatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<void>;
}

/** The path of a collection, or of one object in it. */
export function kubePath(resource: KubeResource, namespace: string | null, name?: string): string {
  const within = namespace === null ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  const object = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${resource.base}${within}/${resource.plural}${object}`;
}
