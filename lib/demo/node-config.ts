import { join } from 'node:path';
import type { NodeMode } from '../config/schema.ts';

const MIB = 1024 * 1024;

export interface SwarmLayout {
  /** Directory of the swarm; each node has `<dir>/<name>`. */
  dir: string;
  agents: number;
  /** Origin of the registry, and other hosts it redirects blobs to. */
  upstream: string;
  allow: readonly string[];
  imageBytes: number;
}

interface PlannedNode {
  name: string;
  role: NodeMode;
  dir: string;
  /** The file as `shoal agent --config` reads it. */
  config: { CacheConfig: object; DeployConfig: object };
}

/** Ports each node listens on: p2p, proxy, exporter. */
export const PORTS_PER_NODE = 3;

/**
 * One root and the agents, by name, with a config for each; `ports` has PORTS_PER_NODE free ones
 * for each, the root's first. Port 0 would do for all but p2p; but nodes that look for a free port
 * at the same time may find the same one, and the system lets them share it. `hosts` has the
 * address
 * of each node when they do not share loopback.
 */
export function planNodes(
  layout: SwarmLayout,
  ports: readonly number[],
  hosts?: readonly string[],
): PlannedNode[] {
  const names = [
    'root',
    ...Array.from({ length: layout.agents }, (_, index) => `agent-${index + 1}`),
  ];
  const portsOf = (index: number): readonly number[] =>
    ports.slice(index * PORTS_PER_NODE, (index + 1) * PORTS_PER_NODE);
  const hostOf = (index: number): string => hosts?.[index] ?? '127.0.0.1';
  const [root, ...agents] = names.map((_, index) => `${hostOf(index)}:${portsOf(index)[0]}`);
  return names.map((name, index) => {
    const role: NodeMode = index === 0 ? 'root' : 'agent';
    const dir = join(layout.dir, name);
    const [p2pPort, proxyPort, exporterPort] = portsOf(index);
    const config = {
      DeployConfig: { mode: role, node: hostOf(index), logDir: join(dir, 'log') },
      ProxyConfig: {
        port: proxyPort,
        certDir: join(dir, 'certs'),
        registries: [{ upstream: layout.upstream }],
        allow: [...layout.allow],
        throttleLimitMB: 0,
      },
      P2PConfig: {
        port: p2pPort,
        peers: agents,
        roots: [root],
        secretFile: join(layout.dir, 'cluster-secret'),
      },
      CacheConfig: { dir: join(dir, 'cache'), ...cacheSizes(layout) },
      ExporterConfig: { enable: true, port: exporterPort },
    };
    return { name, role, dir, config };
  });
}

/**
 * Disk for the whole image and what rounding to shards costs; of memory, a gigabyte shared among
 * the nodes, within reason.
 */
function cacheSizes({ imageBytes, agents }: SwarmLayout): { capacity: number; memory: number } {
  const capacity = Math.ceil((imageBytes * 1.1) / MIB) * MIB + 64 * MIB;
  const memory = Math.min(256, Math.max(64, Math.floor(1024 / (agents + 1)))) * MIB;
  return { capacity, memory };
}
