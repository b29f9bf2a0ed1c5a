/**
 * The kubelet's look-up of credentials in a pull secret, after pkg/credentialprovider/keyring.go of
 * Kubernetes 1.34: one list per index key; within a list the kubelet's order is that of a Go map.
 */
export function kubeletLookup(auths: Record<string, { auth: string }>, image: string): string[][] {
  const index = new Map<string, string[]>();
  for (const [location, { auth }] of Object.entries(auths)) {
    const url = URL.parse(/^https?:\/\//.test(location) ? location : `https://${location}`);
    if (url === null) continue;
    // URL.parse drops a default port and makes `/` of no path; Go keeps both as written.
    const [, host = '', path = ''] = /^(?:https?:\/\/)?([^/?#]*)([^?#]*)/.exec(location)!;
    const effective = /^\/v[12]\//.test(path) ? path.slice(3) : path;
    const key = effective === '/' ? host : host + effective;
    index.set(key, [...(index.get(key) ?? []), auth]);
  }
  const keys = [...index.keys()].sort().reverse();
  const found = keys.filter((key) => urlsMatch(key, image)).map((key) => index.get(key)!.sort());
  const isHub = !/[.:]/.test(image.split('/')[0]!) || image.startsWith('docker.io/');
  const fallback = index.get('index.docker.io');
  return found.length === 0 && isHub && fallback !== undefined ? [fallback.sort()] : found;
}

function urlsMatch(glob: string, target: string): boolean {
  const [globHost, globPath] = split(glob);
  const [host, path] = split(target);
  const [globParts, globPort] = parts(globHost);
  const [hostParts, port] = parts(host);
  return (
    globPort === port &&
    globParts.length === hostParts.length &&
    path.startsWith(globPath) &&
    globParts.every((part, at) => fileMatch(part, hostParts[at]!))
  );
}

function split(text: string): [string, string] {
  const slash = text.indexOf('/');
  return slash === -1 ? [text, ''] : [text.slice(0, slash), text.slice(slash)];
}

function parts(host: string): [string[], string] {
  const [, name = '', port = ''] = /^(.*?)(?::(\d+))?$/.exec(host)!;
  return [name.split('.'), port];
}

function fileMatch(glob: string, text: string): boolean {
  const pattern = glob.split('*').map((piece) => piece.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${pattern.join('.*')}$`).test(text);
}
