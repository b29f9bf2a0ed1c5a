import { parseUpstream, splitHostPort } from '../config/address.ts';
import { ShoalError } from '../errors.ts';
import { canonicalHost } from '../webhook/image.ts';

/** The registries an option names, each once, as runtimes call them. Throws USAGE. */
export function registryNames(names: readonly string[], others: readonly string[] = []): string[] {
  return [...new Set(names.map((name) => registryName(name, others)))];
}

function registryName(name: string, others: readonly string[]): string {
  if (others.includes(name)) return name;
  // It becomes the name of a folder: nothing but a host gets through.
  if (
    splitHostPort(name) === null ||
    !/^[a-z0-9[][\w.:[\]-]*$/i.test(name) ||
    name.includes('..')
  ) {
    throw new ShoalError(
      'USAGE',
      `--registry: ${JSON.stringify(name)} is not allowed; allowed: ${['HOST', 'HOST:PORT', ...others].join(', ')}, as in image names`,
    );
  }
  return canonicalHost(name);
}

/** A mirror's URL, checked. Throws USAGE. */
export function mirrorUrl(text: string): string {
  const url = parseUpstream(text);
  if (url === null)
    throw new ShoalError(
      'USAGE',
      '--mirror: allowed: http(s)://HOST[:PORT] of the node, without path, query or credentials',
    );
  return url;
}
