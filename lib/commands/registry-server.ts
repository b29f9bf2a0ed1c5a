import { registryBehind, serverOf } from '../runtimes/hosts-toml.ts';
import { NODE_START_MS } from '../runtimes/limits.ts';
import { upstreamByNode } from '../runtimes/node-liveness.ts';
import { PROXY_PORT } from '../runtimes/places.ts';
import type { Output } from './process-output.ts';

/**
 * Where the images of a registry really are (`http(s)://host[:port]`): as named, as the node at
 * `mirror` knows, or by ACR's rule; else the registry itself.
 */
export async function serverFor(
  registry: string,
  upstreams: ReadonlyMap<string, string>,
  mirror: string,
  output: Output,
): Promise<string> {
  const named = upstreams.get(registry);
  if (named !== undefined || registry === '_default') return named ?? serverOf(registry);
  const ruled = registryBehind(registry);
  // A host with the port of a proxy leads nowhere without its node, which may only be starting.
  const waits = ruled === null && registry.endsWith(`:${PROXY_PORT}`);
  const known = await upstreamByNode(mirror, registry, waits ? NODE_START_MS : 0);
  // A node that knows nothing about a host takes it for a registry with https.
  if (known !== null && known !== `https://${registry}`) return known;
  if (waits)
    output.err(
      `shoal: ${registry}: the registry behind it is not known, so pulls fail without the node; ` +
        `name it with --upstream ${registry}=URL\n`,
    );
  return ruled ?? serverOf(registry);
}
