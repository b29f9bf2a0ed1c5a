import { HttpMethod, KubeConfig, RequestContext } from '@kubernetes/client-node';
import type { Dispatcher } from 'undici';
import type { KubeConnection } from '../cluster/kubernetes-http.ts';
import { ShoalError } from '../errors.ts';

/**
 * The API server as kubectl would find it: $KUBECONFIG, ~/.kube/config, or the pod's service account, with every kind of
 * login that @kubernetes/client-node knows.
 * @throws ShoalError CONFIG_INVALID when there is none.
 */
export function defaultConnection(): KubeConnection {
  const config = new KubeConfig();
  config.loadFromDefault();
  const server = config.getCurrentCluster()?.server;
  if (server === undefined) throw new ShoalError('CONFIG_INVALID', 'no Kubernetes API server: neither a kubeconfig nor a service account is there');
  return {
    server,
    async credentials() {
      const context = new RequestContext(server, HttpMethod.GET);
      await config.applySecurityAuthentication(context);
      return { headers: context.getHeaders() as Record<string, string>, dispatcher: context.getDispatcher() as unknown as Dispatcher };
    },
  };
}
