import { parseUpstream, splitHostPort } from '../config/address.ts';
import { ShoalError } from '../errors.ts';
import { canonicalHost } from '../webhook/image.ts';

/** The registries of an option, without duplicates, in canonical form. Throws USAGE. */
export function registryNames(names: readonly string[], others: readonly string[] = []): string[] {
  return [...new Set(names.map((name) => registryName(name, others)))];
}

function registryName(name: string, others: readonly string[]): string {
  if (others.includes(name)) return name;
  // The name becomes a directory name, so only hosts are accepted.
  if (
    splitHostPort(name) === null ||
    !/^[a-z0-9[][\w.:[\]-]*$/i.test(name) ||
    name.includes('..')
  ) {
    throw new ShoalError(
      'USAGE',
      `--registry: ${JSON.stringify(name)} is not allowed; allowed: ` +
        `${['HOST', 'HOST:PORT', ...others].join(', ')}, as in image names`,
    );
  }
  return canonicalHost(name);
}

/** Reads `HOST=URL` pairs: the registries behind P2P hosts. Throws USAGE. */
export function upstreamsOf(pairs: readonly string[]): Map<string, string> {
  return new Map(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      const url = at === -1 ? null : parseUpstream(pair.slice(at + 1));
      if (url === null)
        throw new ShoalError(
          'USAGE',
          `--upstream: ${JSON.stringify(pair)} is not allowed; allowed: ` +
            'HOST=http(s)://REGISTRY[:PORT]',
        );
      return [registryNames([pair.slice(0, at)])[0]!, url];
    }),
  );
}

/** Validates the URL of a mirror. Throws USAGE. */
export function mirrorUrl(text: string): string {
  const url = parseUpstream(text);
  if (url === null)
    throw new ShoalError(
      'USAGE',
      '--mirror: allowed: http(s)://HOST[:PORT] of the node, without path, query or credentials',
    );
  return url;
}
