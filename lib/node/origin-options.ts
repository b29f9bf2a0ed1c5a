import type { Config } from '../config/schema.ts';
import type { OriginOptions } from '../origin/connections.ts';
import { mirrorStates } from '../registry/mirror-view.ts';
import { readNetworks } from '../origin/network.ts';

/** With what front threads need of it, too. */
export type NodeOriginOptions = OriginOptions & { mirrorStates: SharedArrayBuffer };

/**
 * How origins are reached: the part of the config that a running node takes up anew, with the files
 * that it names. Throws FILE_UNUSABLE.
 */
export async function readOriginOptions({ ProxyConfig }: Config): Promise<NodeOriginOptions> {
  const { registries, allow, firstByteTimeout } = ProxyConfig;
  const entries = registries.map(({ p2pHost, upstream, upstreams = [], storage = [] }) => ({
    p2pHost,
    upstream,
    upstreams,
    storage,
  }));
  return {
    registries: entries,
    mirrorStates: mirrorStates(entries),
    allow,
    firstByteTimeoutMs: firstByteTimeout * 1000,
    networks: await readNetworks(registries),
  };
}
