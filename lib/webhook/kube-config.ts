import { HttpMethod, KubeConfig, RequestContext } from '@kubernetes/client-node';
import type { Dispatcher } from 'undici';
import type { Clock } from '../clock.ts';
import type { KubeConnection } from '../cluster/kubernetes/http.ts';
import { ShoalError } from '../errors.ts';
import { KUBE_TOKEN_TTL_MS } from '../limits.ts';

/**
 * The API server as kubectl would find it: $KUBECONFIG, ~/.kube/config, or the pod's service
 * account, with every kind of login that @kubernetes/client-node knows.
 * @throws ShoalError CONFIG_INVALID when there is none.
 */
export function defaultConnection(clock: Clock): KubeConnection {
  const config = new KubeConfig();
  config.loadFromDefault();
  const server = config.getCurrentCluster()?.server;
  if (server === undefined)
    throw new ShoalError(
      'CONFIG_INVALID',
      'no Kubernetes API server: neither a kubeconfig nor a service account is there',
    );
  let dispatcher: Dispatcher | undefined;
  let renewAtMs = -Infinity;
  return {
    server,
    async credentials() {
      const context = new RequestContext(server, HttpMethod.GET);
      await config.applySecurityAuthentication(context);
      // Every context comes with a dispatcher, so with connections, of its own. One is used for a
      // while, then the next, which has read the CA and the client certificate anew; what the last
      // one still carries goes on, and idle connections end by themselves.
      if (clock.nowMs() >= renewAtMs) {
        dispatcher = context.getDispatcher() as unknown as Dispatcher | undefined;
        renewAtMs = clock.nowMs() + KUBE_TOKEN_TTL_MS;
      }
      return { headers: context.getHeaders() as Record<string, string>, dispatcher: dispatcher! };
    },
  };
}
