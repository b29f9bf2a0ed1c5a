import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ShoalError } from '../errors.ts';
import { UP_PORT_ATTEMPTS_MAX, UP_STARTS_AT_ONCE, UP_STOP_TIMEOUT_MS } from './limits.ts';
import { PORTS_PER_NODE, planNodes } from './node-config.ts';
import type { SwarmLayout } from './node-config.ts';
import { NodeProcess } from './node-process.ts';

/** A swarm of real node processes on loopback. */
export class DemoSwarm {
  readonly nodes: readonly NodeProcess[];

  private constructor(nodes: readonly NodeProcess[]) {
    this.nodes = nodes;
  }

  /**
   * Starts root and agents and waits until all are ready; none is left behind when one fails, or
   * when `signal` says stop. `onStarted` hears of every process the moment it exists, so that it
   * can be ended whatever happens. Throws the failing node's code.
   */
  static async start(
    layout: SwarmLayout,
    command: readonly string[],
    signal: AbortSignal,
    onStarted: (node: NodeProcess) => void,
  ): Promise<DemoSwarm> {
    writeFileSync(join(layout.dir, 'cluster-secret'), randomBytes(32).toString('hex'), {
      mode: 0o600,
    });
    for (let attempt = 1; ; attempt++) {
      const planned = planNodes(layout, await freePorts((layout.agents + 1) * PORTS_PER_NODE));
      const nodes: NodeProcess[] = [];
      try {
        signal.throwIfAborted();
        for (let at = 0; at < planned.length; at += UP_STARTS_AT_ONCE) {
          const batch = planned
            .slice(at, at + UP_STARTS_AT_ONCE)
            .map(({ name, role, dir, config }) => {
              mkdirSync(dir, { recursive: true, mode: 0o700 });
              writeFileSync(join(dir, 'config.yaml'), stringify(config));
              const node = new NodeProcess({ name, role, dir, command });
              nodes.push(node);
              onStarted(node);
              return node;
            });
          await Promise.all(batch.map((node) => node.started(signal)));
        }
        return new DemoSwarm(nodes);
      } catch (error) {
        await Promise.all(nodes.map((node) => node.stop(UP_STOP_TIMEOUT_MS)));
        if (
          signal.aborted ||
          !(error instanceof ShoalError && error.code === 'PORT_IN_USE') ||
          attempt === UP_PORT_ATTEMPTS_MAX
        )
          throw error;
      }
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop(UP_STOP_TIMEOUT_MS)));
  }
}

/** Ports nobody listens on, all different: held together, then let go. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
