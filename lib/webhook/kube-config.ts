import { HttpMethod, KubeConfig, RequestContext } from '@kubernetes/client-node';
import type { Dispatcher } from 'undici';
import type { Clock } from '../clock.ts';
import type { KubeConnection } from '../cluster/kubernetes/http.ts';
import { ShoalError } from '../errors.ts';
import { KUBE_TOKEN_TTL_MS } from '../limits.ts';

/**
 * The API server as kubectl finds it: $KUBECONFIG, ~/.kube/config, or the pod's service account,
 * with every kind of login that @kubernetes/client-node supports.
 * @throws ShoalError CONFIG_INVALID when none is found.
 */
export function defaultConnection(clock: Clock): KubeConnection {
  const config = new KubeConfig();
  config.loadFromDefault();
  const server = config.getCurrentCluster()?.server;
  if (server === undefined)
    throw new ShoalError(
      'CONFIG_INVALID',
      'no Kubernetes API server found: set KUBECONFIG, or run in a pod with a service account',
    );
  let dispatcher: Dispatcher | undefined;
  let renewAtMs = -Infinity;
  return {
    server,
    async credentials() {
      const context = new RequestContext(server, HttpMethod.GET);
      await config.applySecurityAuthentication(context);
      // Every RequestContext creates its own dispatcher, and with it new connections. One
      // dispatcher is reused for KUBE_TOKEN_TTL_MS. Then the next one rereads the CA and the client
      // certificate; requests on the old one finish and its idle connections close.
      if (clock.nowMs() >= renewAtMs) {
        dispatcher = context.getDispatcher() as unknown as Dispatcher | undefined;
        renewAtMs = clock.nowMs() + KUBE_TOKEN_TTL_MS;
      }
      return { headers: context.getHeaders() as Record<string, string>, dispatcher: dispatcher! };
    },
  };
}
