import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { FedMembership, type Feed } from './fed-membership.ts';
import type { KubeClient } from './kubernetes/client.ts';
import type { Membership } from './membership.ts';
import { StaticMembership } from './static.ts';

interface DiscoveryContext {
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
  env: NodeJS.ProcessEnv;
  /** Called when the membership source does not answer; the last view stays in force. */
  onError: (error: Error) => void;
  /**
   * How nodes ask each other for the list of members, where the source is the Kubernetes API; null:
   * every node asks it.
   */
  feed: Feed | null;
}

/**
 * The membership implementation for `P2PConfig.discovery`. Modules that only one implementation
 * needs are loaded on demand.
 * @throws ShoalError CONFIG_INVALID for `kubernetes` outside a cluster.
 */
export async function discover(
  config: Config['P2PConfig'],
  context: DiscoveryContext,
): Promise<Membership> {
  const { clock, random, env, onError, feed } = context;
  const { service } = config;
  // No default: the compiler reports a kind of discovery that is missing here.
  switch (config.discovery) {
    case 'static':
      return new StaticMembership(config.peers, config.roots);
    case 'dns': {
      const [{ DnsMembership, systemResolve }, { lookup }] = await Promise.all([
        import('./dns.ts'),
        import('node:dns/promises'),
      ]);
      return new DnsMembership({
        service,
        port: config.port,
        resolve: systemResolve(lookup),
        clock,
        onError,
      });
    }
    case 'kubernetes': {
      const { KubernetesMembership, peekMembers } = await import('./kubernetes/discovery.ts');
      const options = { ...(await serviceOf(service, env, clock)), clock, random, onError };
      if (feed === null) return new KubernetesMembership(options);
      const source = {
        watch: () => new KubernetesMembership(options),
        peek: () => peekMembers(options),
      };
      return new FedMembership({ ...feed, source, clock, random });
    }
  }
}

/**
 * The Service of `P2PConfig.service` and the API server that knows it.
 * @throws ShoalError CONFIG_INVALID outside a cluster.
 */
export async function serviceOf(
  service: string,
  env: NodeJS.ProcessEnv,
  clock: Clock,
): Promise<{ client: KubeClient; namespace: string; service: string }> {
  const [{ InClusterConnection, podNamespace }, { HttpKubeClient }] = await Promise.all([
    import('./kubernetes/in-cluster.ts'),
    import('./kubernetes/http.ts'),
  ]);
  const client = new HttpKubeClient(new InClusterConnection(env, clock));
  const [name = '', namespace = await podNamespace(env)] = service.split('/').reverse();
  return { client, namespace, service: name };
}
