import { quoteToml } from './toml-text.ts';

/*
 * A drop-in of the containers library, which Podman, CRI-O, Buildah and skopeo share
 * (containers-registries.conf(5)): mirrors are tried in order before `location`, and are not told
 * which registry they stand in for.
 */

const MARK = '# Written by `shoal podman configure`; `shoal podman restore` removes it.';

/** Its file name: after the distribution's own ones, before an operator's late overrides. */
export function dropInName(registry: string): string {
  return `50-shoal-${registry.replaceAll(/[:[\]]/g, '_')}.conf`;
}

/** The drop-in that asks `mirror` (`http(s)://host[:port]`) first for the images of `registry`. */
export function dropInFor(registry: string, mirror: string): string {
  const { protocol, host } = new URL(mirror);
  return [
    MARK,
    '[[registry]]',
    `prefix = ${quoteToml(registry)}`,
    `location = ${quoteToml(registry)}`,
    '',
    '[[registry.mirror]]',
    `location = ${quoteToml(host)}`,
    // Plain HTTP is spoken only where it says so.
    ...(protocol === 'http:' ? ['insecure = true'] : []),
    '',
  ].join('\n');
}

/** Whether a file is one of these. */
export function isDropIn(text: string): boolean {
  return text.startsWith(MARK);
}
