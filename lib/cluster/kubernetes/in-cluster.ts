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
  #tokenUntilMs = -Infinity;

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
    this.#dispatcher ??= new Agent({
      allowH2: false,
      connect: { ca: await readFile(`${this.#dir}/ca.crt`, 'utf8') },
    });
    if (this.#clock.nowMs() >= this.#tokenUntilMs) {
      this.#token = (await readFile(`${this.#dir}/token`, 'utf8')).trim();
      this.#tokenUntilMs = this.#clock.nowMs() + KUBE_TOKEN_TTL_MS;
    }
    return { headers: { authorization: `Bearer ${this.#token}` }, dispatcher: this.#dispatcher };
  }
}

/** The namespace of the pod; `default` outside a pod. */
export async function podNamespace(env: NodeJS.ProcessEnv): Promise<string> {
  if (env.POD_NAMESPACE !== undefined && env.POD_NAMESPACE !== '') return env.POD_NAMESPACE;
  return (
    await readFile(`${serviceAccountDir(env)}/namespace`, 'utf8').catch(() => 'default')
  ).trim();
}
