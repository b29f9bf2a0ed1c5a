import type { Config } from '../config/schema.ts';
import type { OriginOptions } from '../origin/connections.ts';
import { readNetworks } from '../origin/network.ts';

/**
 * How origins are reached: the part of the config that a running node takes up anew, with the files
 * that it names. Throws FILE_UNUSABLE.
 */
export async function readOriginOptions({ ProxyConfig }: Config): Promise<OriginOptions> {
  const { registries, allow, firstByteTimeout } = ProxyConfig;
  return {
    registries: registries.map(({ p2pHost, upstream, storage = [] }) => ({
      p2pHost,
      upstream,
      storage,
    })),
    allow,
    firstByteTimeoutMs: firstByteTimeout * 1000,
    networks: await readNetworks(registries),
  };
}
