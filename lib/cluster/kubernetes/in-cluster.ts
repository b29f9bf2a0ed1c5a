import { readFile } from 'node:fs/promises';
import { Agent, type Dispatcher } from 'undici';
import type { Clock } from '../../clock.ts';
import { ShoalError } from '../../errors.ts';
import { KUBE_TOKEN_TTL_MS } from '../../limits.ts';
import type { KubeConnection } from './http.ts';

/**
 * Where the kubelet mounts a pod's service account: `token`, `ca.crt`, `namespace` (Kubernetes,
 * "Accessing the API from within a Pod"). An agent that runs as a system service sets
 * SHOAL_SERVICE_ACCOUNT_DIR instead.
 */
function serviceAccountDir(env: NodeJS.ProcessEnv): string {
  return env.SHOAL_SERVICE_ACCOUNT_DIR ?? '/var/run/secrets/kubernetes.io/serviceaccount';
}

/**
 * A pod's connection to the API server of its cluster, by its service account. Agents use it
 * instead of @kubernetes/client-node, whose import costs 90 MB of memory and 0.3 s at start.
 */
export class InClusterConnection implements KubeConnection {
  readonly server: string;
  readonly #dir: string;
  readonly #clock: Clock;
  #dispatcher: Dispatcher | null = null;
  #token = '';
  #ca = '';
  #readAgainMs = -Infinity;

  /** | @throws ShoalError CONFIG_INVALID outside a cluster. */
  constructor(env: NodeJS.ProcessEnv, clock: Clock) {
    const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env;
    if (host === undefined || host === '')
      throw new ShoalError(
        'CONFIG_INVALID',
        'P2PConfig.discovery: kubernetes works in a pod only (KUBERNETES_SERVICE_HOST is not set)',
      );
    this.server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
    this.#dir = serviceAccountDir(env);
    this.#clock = clock;
  }

  async credentials(): Promise<{ headers: Record<string, string>; dispatcher: Dispatcher }> {
    if (this.#dispatcher === null || this.#clock.nowMs() >= this.#readAgainMs) await this.#read();
    return { headers: { authorization: `Bearer ${this.#token}` }, dispatcher: this.#dispatcher! };
  }

  /**
   * Reads token and CA; the kubelet replaces both while the pod runs. A new CA needs new
   * connections: those of the old one end when their requests have.
   */
  async #read(): Promise<void> {
    const [token, ca] = await Promise.all(
      ['token', 'ca.crt'].map((name) => readFile(`${this.#dir}/${name}`, 'utf8')),
    );
    this.#token = token!.trim();
    this.#readAgainMs = this.#clock.nowMs() + KUBE_TOKEN_TTL_MS;
    if (this.#dispatcher !== null && ca === this.#ca) return;
    const old = this.#dispatcher;
    this.#ca = ca!;
    this.#dispatcher = new Agent({ allowH2: false, connect: { ca: ca! } });
    // Closing waits for watches, which the server ends within KUBE_WATCH_SECONDS.
    old?.close().catch(() => undefined);
  }
}

/** The namespace of the pod; `default` outside a pod. */
export async function podNamespace(env: NodeJS.ProcessEnv): Promise<string> {
  if (env.POD_NAMESPACE !== undefined && env.POD_NAMESPACE !== '') return env.POD_NAMESPACE;
  return (
    await readFile(`${serviceAccountDir(env)}/namespace`, 'utf8').catch(() => 'default')
  ).trim();
}
