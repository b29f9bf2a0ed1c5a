import { parse } from 'smol-toml';
import { serverOf } from './hosts-toml.ts';
import { quoteToml } from './toml-text.ts';

/*
 * A drop-in for the containers library that Podman, CRI-O, Buildah and skopeo share
 * (containers-registries.conf(5)). Mirrors are tried in order before `location`; they are not told
 * which registry they stand in for.
 */

const MARK = '# Written by `shoal podman configure`; `shoal podman restore` removes it.';

/**
 * File name of the drop-in. It sorts after the distribution's files and before an operator's
 * overrides.
 */
export function dropInName(registry: string): string {
  return `50-shoal-${registry.replaceAll(/[:[\]]/g, '_')}.conf`;
}

/**
 * A drop-in that asks `mirror` (`http(s)://host[:port]`) first for images of `registry`, then
 * `server`: the registry itself, or for a P2P host the registry behind it.
 */
export function dropInFor(registry: string, mirror: string, server = serverOf(registry)): string {
  const { protocol, host } = new URL(mirror);
  const behind = new URL(server);
  return [
    MARK,
    '[[registry]]',
    `prefix = ${quoteToml(registry)}`,
    `location = ${quoteToml(server === serverOf(registry) ? registry : behind.host)}`,
    ...(behind.protocol === 'http:' && server !== serverOf(registry) ? ['insecure = true'] : []),
    '',
    '[[registry.mirror]]',
    `location = ${quoteToml(host)}`,
    // The library uses plain HTTP only with `insecure`.
    ...(protocol === 'http:' ? ['insecure = true'] : []),
    '',
  ].join('\n');
}

/** Whether Shoal wrote a file. */
export function isDropIn(text: string): boolean {
  return text.startsWith(MARK);
}

/** What a drop-in of ours does. */
export interface DropIn {
  registry: string;
  /** URL of the node. */
  mirror: string;
}

/** Reads a drop-in that Shoal wrote. Throws when it was damaged since. */
export function readDropIn(text: string): DropIn {
  const { registry } = parse(text) as {
    registry: [{ prefix: string; mirror: [{ location: string; insecure?: boolean }] }];
  };
  const [{ prefix, mirror }] = registry;
  const [{ location, insecure }] = mirror;
  return { registry: prefix, mirror: `http${insecure === true ? '' : 's'}://${location}` };
}
