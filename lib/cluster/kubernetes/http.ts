import { request, type Dispatcher } from 'undici';
import {
  KUBE_ANSWER_BYTES_MAX,
  KUBE_LIST_PAGE,
  KUBE_REQUEST_TIMEOUT_MS,
  KUBE_WATCH_GRACE_MS,
  KUBE_WATCH_SECONDS,
} from '../limits.ts';
import {
  KubeError,
  kubePath,
  type KubeClient,
  type KubeList,
  type KubeObject,
  type KubeResource,
  type KubeScope,
  type KubeWatchEvent,
} from './client.ts';

/** Address and credentials of the API server. */
export interface KubeConnection {
  /** `https://host:port`, possibly with a path. */
  readonly server: string;
  /** Headers and dispatcher of a request. Called for each request, because tokens are renewed. */
  credentials(): Promise<{ headers: Record<string, string>; dispatcher: Dispatcher }>;
}

type Query = Record<string, string | number | boolean | undefined>;

interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  query?: Query;
  body?: unknown;
  contentType?: string;
  accept?: string;
  signal?: AbortSignal;
  /** Longest pause in the body, ms. */
  silenceMs?: number;
}

/**
 * undici offers HTTP/2 on every TLS connection, and throws outside any request when such a
 * connection breaks: a crash of the API server would end the process. Dispatchers accept this
 * option, but their types do not list it.
 */
const HTTP1_ONLY: object = { allowH2: false };

/**
 * The Kubernetes API over HTTP and JSON (Kubernetes, "API Concepts": paged lists, watches as JSON
 * lines).
 */
export class HttpKubeClient implements KubeClient {
  readonly #connection: KubeConnection;

  constructor(connection: KubeConnection) {
    this.#connection = connection;
  }

  async get<T extends KubeObject>(
    resource: KubeResource,
    namespace: string | null,
    name: string,
  ): Promise<T | null> {
    return await this.#json<T>({ method: 'GET', path: kubePath(resource, namespace, name) }).catch(
      unlessMissing,
    );
  }

  async list<T extends KubeObject>(scope: KubeScope, atMost?: number): Promise<KubeList<T>> {
    const path = kubePath(scope.resource, scope.namespace);
    const items: T[] = [];
    for (let next: string | undefined; ;) {
      const query = { ...selectors(scope), limit: atMost ?? KUBE_LIST_PAGE, continue: next };
      const page = await this.#json<{
        items: T[] | null;
        metadata: { resourceVersion: string; continue?: string };
      }>({ method: 'GET', path, query, accept: listAccept(scope) });
      items.push(...(page.items ?? []));
      next = page.metadata.continue;
      if (next === undefined || next === '' || atMost !== undefined)
        return { items, resourceVersion: page.metadata.resourceVersion };
    }
  }

  async create<T extends KubeObject>(resource: KubeResource, object: T): Promise<T> {
    return await this.#json<T>({
      method: 'POST',
      path: kubePath(resource, object.metadata.namespace ?? null),
      body: object,
    });
  }

  async replace<T extends KubeObject>(resource: KubeResource, object: T): Promise<T> {
    const { name, namespace } = object.metadata;
    return await this.#json<T>({
      method: 'PUT',
      path: kubePath(resource, namespace ?? null, name),
      body: object,
    });
  }

  async patch<T extends KubeObject>(
    resource: KubeResource,
    namespace: string | null,
    name: string,
    operations: object[],
  ): Promise<T> {
    return await this.#json<T>({
      method: 'PATCH',
      path: kubePath(resource, namespace, name),
      body: operations,
      contentType: 'application/json-patch+json',
    });
  }

  async remove(
    resource: KubeResource,
    namespace: string | null,
    name: string,
    uid?: string,
  ): Promise<void> {
    const body = uid === undefined ? {} : { preconditions: { uid } };
    await this.#json({ method: 'DELETE', path: kubePath(resource, namespace, name), body }).catch(
      unlessMissing,
    );
  }

  async watch<T extends KubeObject>(
    scope: KubeScope,
    resourceVersion: string,
    onEvent: (event: KubeWatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const path = kubePath(scope.resource, scope.namespace);
    const query = {
      ...selectors(scope),
      watch: true,
      allowWatchBookmarks: true,
      resourceVersion,
      timeoutSeconds: KUBE_WATCH_SECONDS,
    };
    // The server ends every watch; silence beyond that means a lost connection.
    const silenceMs = KUBE_WATCH_SECONDS * 1_000 + KUBE_WATCH_GRACE_MS;
    try {
      const accept = watchAccept(scope);
      const { body } = await this.#send({ method: 'GET', path, query, accept, signal, silenceMs });
      for await (const line of lines(body)) {
        if (signal.aborted) return;
        const event = JSON.parse(line) as KubeWatchEvent<T> | { type: 'ERROR'; object: unknown };
        if (event.type === 'ERROR') throw statusError(0, event.object, scope.resource.plural);
        onEvent(event);
      }
    } catch (error) {
      if (!signal.aborted) throw asKubeError(error, path);
    }
  }

  async #json<T>(call: Call): Promise<T> {
    try {
      const { body } = await this.#send({
        silenceMs: KUBE_REQUEST_TIMEOUT_MS,
        signal: AbortSignal.timeout(KUBE_REQUEST_TIMEOUT_MS),
        ...call,
      });
      return JSON.parse(await text(body)) as T;
    } catch (error) {
      throw asKubeError(error, call.path);
    }
  }

  async #send({
    method,
    path,
    query = {},
    body,
    contentType = 'application/json',
    accept = 'application/json',
    signal,
    silenceMs = 0,
  }: Call): Promise<Dispatcher.ResponseData> {
    const { headers, dispatcher } = await this.#connection.credentials();
    const url = new URL(this.#connection.server.replace(/\/$/, '') + path);
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    const response = await request(url, {
      ...HTTP1_ONLY,
      method,
      dispatcher,
      headers: {
        accept,
        ...(body === undefined ? {} : { 'content-type': contentType }),
        ...headers,
      },
      body: body === undefined ? null : JSON.stringify(body),
      headersTimeout: KUBE_REQUEST_TIMEOUT_MS,
      bodyTimeout: silenceMs,
      ...(signal === undefined ? {} : { signal }),
    });
    if (response.statusCode < 400) return response;
    throw statusError(response.statusCode, parsed(await text(response.body)), path);
  }
}

/** Media types of metadata-only answers (Kubernetes, "API Concepts", Metadata-only fetches). */
const METADATA_TYPE = (kind: string): string =>
  `application/json;as=${kind};g=meta.k8s.io;v=v1,application/json`;

function listAccept({ metadataOnly }: KubeScope): string {
  return metadataOnly === true ? METADATA_TYPE('PartialObjectMetadataList') : 'application/json';
}

function watchAccept({ metadataOnly }: KubeScope): string {
  return metadataOnly === true ? METADATA_TYPE('PartialObjectMetadata') : 'application/json';
}

function selectors({ labelSelector, fieldSelector }: KubeScope): Query {
  return { labelSelector, fieldSelector };
}

async function text(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > KUBE_ANSWER_BYTES_MAX)
      throw new KubeError(0, 'TooLong', `an answer of more than ${KUBE_ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function* lines(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let pending: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...pending, chunk.subarray(from, end)]).toString('utf8');
      [pending, bytes, from] = [[], 0, end + 1];
      if (line !== '') yield line;
    }
    if (from < chunk.length) pending.push(chunk.subarray(from));
    bytes += chunk.length - from;
    if (bytes > KUBE_ANSWER_BYTES_MAX)
      throw new KubeError(0, 'TooLong', `a line of more than ${KUBE_ANSWER_BYTES_MAX} bytes`);
  }
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}

/**
 * Converts a Status object to an error. Its message contains kinds, names and rights, never the
 * content of a secret.
 */
function statusError(status: number, body: unknown, what: string): KubeError {
  const { code, reason, message } = (body ?? {}) as {
    code?: number;
    reason?: string;
    message?: string;
  };
  return new KubeError(
    code ?? status,
    reason ?? `Status${status}`,
    `${what}: ${message ?? `status ${status}`}`,
  );
}

function asKubeError(error: unknown, path: string): KubeError {
  if (error instanceof KubeError) return error;
  const { code, message } = error as { code?: string; message?: string };
  return new KubeError(0, 'Unreachable', `${path}: ${code ?? message ?? String(error)}`, error);
}

function unlessMissing(error: unknown): null {
  if (error instanceof KubeError && error.status === 404) return null;
  throw error;
}
