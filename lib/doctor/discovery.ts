import { systemClock } from '../clock.ts';
import { serviceOf } from '../cluster/discovery.ts';
import { peekMembers } from '../cluster/kubernetes/discovery.ts';
import { rootService } from '../cluster/kubernetes/endpoints.ts';
import { formatHostPort } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { ShoalError } from '../errors.ts';
import { addressesOf } from './ask.ts';
import { failed, reasonOf, type Finding } from './finding.ts';

type P2PConfig = Config['P2PConfig'];

/** The nodes that discovery finds, or why it finds none. */
export async function discoveredNodes(
  config: P2PConfig,
  timeoutMs: number,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string[] | Finding> {
  // No default: the compiler reports a kind of discovery that is missing here.
  switch (config.discovery) {
    case 'static':
      return [...config.roots, ...config.peers];
    case 'dns':
      return await resolved(config, timeoutMs);
    case 'kubernetes':
      return await endpoints(config, timeoutMs, env);
  }
}

const LABELS =
  "compare the Service's selector with the labels of the pods (`kubectl get service -o wide`, " +
  '`kubectl get pods --show-labels`), and look for pods that are not ready';

async function resolved(
  { service, port }: P2PConfig,
  timeoutMs: number,
): Promise<string[] | Finding> {
  const addresses = (name: string): Promise<string[]> => addressesOf(name, timeoutMs);
  const roots = addresses(rootService(service)).catch(() => []);
  try {
    const found = [...(await roots), ...(await addresses(service))];
    return found.map((address) => formatHostPort(address, port));
  } catch (error) {
    const reason = reasonOf(error);
    return failed(
      'discovery',
      `P2PConfig.service ${service} does not resolve (${reason}): the name is wrong, or its ` +
        'Service selects no ready pod',
      `correct the name or this machine's DNS server; else ${LABELS}`,
    );
  }
}

async function endpoints(
  { service }: P2PConfig,
  timeoutMs: number,
  env: NodeJS.ProcessEnv,
): Promise<string[] | Finding> {
  try {
    const source = await serviceOf(service, env, systemClock);
    const late = AbortSignal.timeout(timeoutMs);
    const { agents, roots } = await Promise.race([
      peekMembers(source),
      new Promise<never>((_, reject) =>
        late.addEventListener('abort', () =>
          reject(new Error(`no answer within ${timeoutMs / 1000} s`)),
        ),
      ),
    ]);
    const found = [...roots, ...agents].map(({ node }) => node);
    return found.length > 0
      ? found
      : failed(
          'discovery',
          `P2PConfig.service: the Service ${source.namespace}/${source.service} has no ready ` +
            'endpoint',
          LABELS,
        );
  } catch (error) {
    return error instanceof ShoalError
      ? failed('discovery', error.message, '`kubectl exec <pod> -- shoal doctor --config F`')
      : failed(
          'discovery',
          `the API server does not list the endpoints of ${service}: ${reasonOf(error)}`,
          'check the network to the API server, and that the service account may list and watch ' +
            'endpointslices',
        );
  }
}
