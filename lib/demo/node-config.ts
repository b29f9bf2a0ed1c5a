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

export interface PlannedNode {
  name: string;
  role: NodeMode;
  dir: string;
  /** The file as `shoal agent --config` reads it. */
  config: object;
}

/** One root and the agents, by name, with a config for each; `p2pPorts` has one free port per node, the root's first. */
export function planNodes(layout: SwarmLayout, p2pPorts: readonly number[]): PlannedNode[] {
  const names = ['root', ...Array.from({ length: layout.agents }, (_, index) => `agent-${index + 1}`)];
  const [root, ...agents] = p2pPorts.map((port) => `127.0.0.1:${port}`);
  return names.map((name, index) => {
    const role: NodeMode = index === 0 ? 'root' : 'agent';
    const dir = join(layout.dir, name);
    const config = {
      DeployConfig: { mode: role, node: '127.0.0.1', logDir: join(dir, 'log') },
      ProxyConfig: {
        port: 0,
        certDir: join(dir, 'certs'),
        registries: [{ upstream: layout.upstream }],
        allow: [...layout.allow],
        throttleLimitMB: 0,
      },
      P2PConfig: { port: p2pPorts[index], peers: agents, roots: [root], secretFile: join(layout.dir, 'cluster-secret') },
      CacheConfig: { dir: join(dir, 'cache'), ...cacheSizes(layout) },
      ExporterConfig: { enable: true, port: 0 },
    };
    return { name, role, dir, config };
  });
}

/** Disk for the whole image and what rounding to shards costs; memory for a few shards per layer in flight. */
function cacheSizes({ imageBytes, agents }: SwarmLayout): { capacity: number; memory: number } {
  const capacity = Math.ceil((imageBytes * 1.1) / MIB) * MIB + 64 * MIB;
  return { capacity, memory: (agents <= 4 ? 128 : 64) * MIB };
}
