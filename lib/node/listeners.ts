import { formatHostPort, parseHostPort } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { claimPorts } from '../control/watch/ports.ts';
import type { RunningNode } from './running-node.ts';

/** Where a node listens, and under which name other nodes know it. */
export interface Listeners {
  /** The node's name: the address and port that other nodes dial. */
  node: string;
  proxy: { host: string; port: number };
  p2p: { host: string; port: number };
  /** null: no exporter; `port` null: on the proxy port. */
  exporter: { host: string; port: number | null } | null;
}

/** How this machine reaches a listener on every address. */
const LOOPBACK_OF: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/**
 * Claims the ports of a node. Without a cluster secret, or when its address is a loopback address,
 * nothing listens for other nodes beyond loopback. Throws PORT_IN_USE.
 */
export async function claimListeners(config: Config, hasSecret: boolean): Promise<Listeners> {
  const { DeployConfig, ProxyConfig, P2PConfig, ExporterConfig } = config;
  const address = hasSecret ? DeployConfig.node : '127.0.0.1';
  const p2pHost = listenHostOf(address);
  const exporterHost = listenHostOf(DeployConfig.node);
  const hasExporterPort = ExporterConfig.enable && ExporterConfig.standaloneExporterPort;
  const [proxyPort, p2pPort, exporterPort = null] = await claimPorts([
    { host: ProxyConfig.host, port: ProxyConfig.port, what: 'ProxyConfig.port' },
    { host: p2pHost, port: P2PConfig.port, what: 'P2PConfig.port' },
    ...(hasExporterPort
      ? [{ host: exporterHost, port: ExporterConfig.port, what: 'ExporterConfig.port' }]
      : []),
  ]);
  return {
    node: formatHostPort(address, p2pPort!),
    proxy: { host: ProxyConfig.host, port: proxyPort! },
    p2p: { host: p2pHost, port: p2pPort! },
    exporter: ExporterConfig.enable ? { host: exporterHost, port: exporterPort } : null,
  };
}

/** The addresses of the ready line. */
export function readyAddresses(config: Config, at: Listeners): RunningNode['ready'] {
  const { DeployConfig, ProxyConfig } = config;
  const scheme = ProxyConfig.tls ? 'https' : 'http';
  const exporter = at.exporter;
  return {
    mode: DeployConfig.mode,
    proxy: `${scheme}://${formatHostPort(at.proxy.host, at.proxy.port)}`,
    p2p: `http://${at.node}`,
    exporter:
      exporter === null || exporter.port === null
        ? null
        : `http://${formatHostPort(LOOPBACK_OF[exporter.host] ?? exporter.host, exporter.port)}`,
    pid: process.pid,
  };
}

/** Where other machines find the node's page; null: nowhere. */
export function pageAddress({ DeployConfig }: Config, { exporter }: Listeners): string | null {
  return exporter === null || exporter.port === null
    ? null
    : `http://${formatHostPort(DeployConfig.node, exporter.port)}`;
}

/** Whether the config names nodes on other machines, or has them discovered. */
export function looksBeyondLoopback({ discovery, peers, roots }: Config['P2PConfig']): boolean {
  return (
    discovery !== 'static' ||
    [...peers, ...roots].some((node) => !isLoopback(parseHostPort(node)?.host ?? ''))
  );
}

function isLoopback(address: string): boolean {
  return /^(127\.|localhost$|::1$)/.test(address);
}

/** Listens on every address of the family of `address`, or on loopback only if it is one. */
function listenHostOf(address: string): string {
  if (isLoopback(address)) return address;
  return address.includes(':') ? '::' : '0.0.0.0';
}
