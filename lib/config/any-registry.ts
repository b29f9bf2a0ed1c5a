import { answeringHost } from '../docker-hub.ts';
import type { Config, RegistryEntry } from './schema.ts';

/** The `upstream` of an entry that stands for every registry that `hosts` lists. */
export const ANY_REGISTRY = '*';

/**
 * Writes entries for any registry out: a host without stars becomes an entry of its own, reached by
 * https, which clients name by `?ns=`; a glob becomes an entry of `allow`: such hosts are dialled
 * when a client names them, and do not count as configured registries. An entry that names the
 * registry itself goes before.
 */
export function writeOut(proxy: Config['ProxyConfig']): Config['ProxyConfig'] {
  const registries = proxy.registries.filter(({ upstream }) => upstream !== ANY_REGISTRY);
  const allow = [...proxy.allow];
  for (const { hosts = [], p2pHost: _, ...rest } of proxy.registries)
    for (const host of hosts) {
      if (/[*?]/.test(host)) allow.push(host);
      else if (!registries.some((entry) => isFor(entry, host)))
        registries.push({ ...rest, p2pHost: host, upstream: originOf(host) });
    }
  return { ...proxy, registries, allow };
}

function originOf(host: string): string {
  return `https://${answeringHost(host)}`;
}

function isFor({ p2pHost, upstream }: RegistryEntry, host: string): boolean {
  return p2pHost === host || upstream === originOf(host);
}

/** What is wrong with entries for any registry, one line each. */
export function wrongWildcards({ registries }: Config['ProxyConfig']): string[] {
  const path = (index: number, key: string): string => `ProxyConfig.registries.${index}.${key}`;
  return registries.flatMap(({ upstream, hosts, upstreams, p2pHost }, index) => {
    if (upstream !== ANY_REGISTRY)
      return hosts === undefined
        ? []
        : [`${path(index, 'hosts')}: not allowed; allowed: with upstream "*" only`];
    const lines: string[] = [];
    if (hosts === undefined || hosts.length === 0)
      lines.push(
        `${path(index, 'hosts')}: not given; allowed: the registries that "*" stands for, as in ` +
          '["docker.io", "quay.io", "*.gcr.io"]',
      );
    if (upstreams !== undefined)
      lines.push(`${path(index, 'upstreams')}: not allowed with upstream "*"`);
    if (p2pHost !== '*') lines.push(`${path(index, 'p2pHost')}: not allowed with upstream "*"`);
    return lines;
  });
}
