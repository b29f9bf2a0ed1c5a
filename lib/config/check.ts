import { wrongWildcards } from './any-registry.ts';
import type { Config } from './schema.ts';

/** Kinds of discovery that look up `P2PConfig.service`. */
const NEEDS_SERVICE: Record<Config['P2PConfig']['discovery'], boolean> = {
  static: false,
  dns: true,
  kubernetes: true,
};

/**
 * Checks across keys. Returns one line per contradiction.
 */
export function contradictions(config: Config): string[] {
  const { ProxyConfig: proxy, P2PConfig: p2p, ExporterConfig: exporter } = config;
  const found = wrongWildcards(proxy);
  if ((proxy.certFile === '') !== (proxy.keyFile === '')) {
    const [given, missing] =
      proxy.certFile === '' ? ['keyFile', 'certFile'] : ['certFile', 'keyFile'];
    found.push(
      `ProxyConfig.${missing}: "" is not allowed; allowed: a path, since ${given} is given`,
    );
  }
  for (const [index, entry] of proxy.registries.entries()) {
    const { clientCertFile: cert = '', clientKeyFile: key = '' } = entry;
    if ((cert === '') === (key === '')) continue;
    const [given, missing] =
      cert === '' ? ['clientKeyFile', 'clientCertFile'] : ['clientCertFile', 'clientKeyFile'];
    found.push(
      `ProxyConfig.registries.${index}.${missing}: "" is not allowed; allowed: a path, since ` +
        `${given} is given`,
    );
  }
  if (NEEDS_SERVICE[p2p.discovery] && p2p.service === '') {
    found.push(
      'P2PConfig.service: "" is not allowed; allowed: the name of the headless service, ' +
        `since discovery is ${p2p.discovery}`,
    );
  }
  const exporterPort = exporter.enable && exporter.standaloneExporterPort ? exporter.port : 0;
  const ports = [
    ['ProxyConfig.port', proxy.port],
    ['P2PConfig.port', p2p.port],
    ['ExporterConfig.port', exporterPort],
  ] as const;
  for (const [index, [key, port]] of ports.entries()) {
    const earlier = ports.slice(0, index).find(([, other]) => other === port);
    if (port !== 0 && earlier !== undefined)
      found.push(
        `${key}: ${port} is not allowed; allowed: a port other than that of ${earlier[0]}`,
      );
  }
  return found;
}
