import { canonicalHost, type ImageReference } from './image.ts';

/*
 * How the kubelet reads the registry keys of a pull secret (Kubernetes,
 * pkg/credentialprovider/keyring.go): scheme and `/v1/` or `/v2/` are dropped, what is left is
 * sorted in reverse, and every key that matches the image contributes its credentials, in that
 * order.
 */

/** A key as the kubelet indexes it. */
export interface KeyringKey {
  /** The host as written, in lower case, with its port; may contain `*`. */
  readonly host: string;
  /** Prefix of the repositories it is for, with its leading slash; '' for all of them. */
  readonly path: string;
}

/**
 * The index key of a registry key; null when the kubelet ignores it, because Go's url.Parse refuses
 * it or because no image has such a name. Hosts are compared without case here: images whose hosts
 * are written in upper case get the same P2P host.
 */
export function keyringKey(key: string): KeyringKey | null {
  const [, authority = '', escaped = ''] = /^(?:https?:\/\/)?([^/?#]*)([^?#]*)/.exec(key)!;
  const host = authority.slice(authority.lastIndexOf('@') + 1).toLowerCase();
  if (!/^[^[\]\\^`{|}%\s]*$/.test(host) || !/^[^:]*(?::\d*)?$/.test(host)) return null;
  const decoded = pathOf(escaped);
  if (decoded === null) return null;
  const path = decoded.replace(/^\/v[12](?=\/)/, '');
  return { host, path: path === '/' ? '' : path };
}

/** The path with its percent escapes decoded; null when it can be no prefix of a repository. */
function pathOf(escaped: string): string | null {
  try {
    const path = decodeURIComponent(escaped);
    return /^[\w/.*-]*$/.test(path) ? path : null;
  } catch {
    return null;
  }
}

/**
 * Order in which the kubelet tries keys: reverse alphabetical, so that a longer path comes before a
 * shorter one and a name before a glob. Keys of Docker Hub's aliases are tried last.
 */
export function byKeyringOrder(a: KeyringKey, b: KeyringKey): number {
  const [aliasA, aliasB] = [isHubAlias(a.host), isHubAlias(b.host)];
  if (aliasA !== aliasB) return Number(aliasA) - Number(aliasB);
  const [textA, textB] = [a.host + a.path, b.host + b.path];
  return textA === textB ? 0 : textA < textB ? 1 : -1;
}

/** Whether a host is another name of Docker Hub; the kubelet uses it only without a better key. */
export function isHubAlias(host: string): boolean {
  return canonicalHost(host) !== host;
}

/** Whether a registry key, or an entry of `matchImages`, stands for an image. */
export function keyFitsImage(key: string, { host, repository }: ImageReference): boolean {
  const read = keyringKey(key);
  return read !== null && keyHostFits(read.host, host) && `/${repository}`.startsWith(read.path);
}

/** The kubelet's rule for globs in keys: label by label, with an exact port. */
export function keyHostFits(keyHost: string, host: string): boolean {
  const [key, target] = [canonicalHost(keyHost), canonicalHost(host)];
  if (!key.includes('*')) return key === target;
  const [keyName, keyPort] = splitPort(key);
  const [name, port] = splitPort(target);
  const [keyLabels, labels] = [keyName.split('.'), name.split('.')];
  return (
    keyPort === port &&
    keyLabels.length === labels.length &&
    keyLabels.every((label, at) => labelFits(label, labels[at]!))
  );
}

/** Greedy: the first piece is a prefix, the last a suffix, the others follow each other. */
function labelFits(glob: string, label: string): boolean {
  const pieces = glob.split('*');
  if (pieces.length === 1) return glob === label;
  const [head, tail] = [pieces[0]!, pieces.at(-1)!];
  if (label.length < head.length + tail.length) return false;
  if (!label.startsWith(head) || !label.endsWith(tail)) return false;
  let at = head.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = label.indexOf(piece, at);
    if (found === -1 || found + piece.length > label.length - tail.length) return false;
    at = found + piece.length;
  }
  return true;
}

function splitPort(host: string): [name: string, port: string] {
  const found = /^(.*):(\d+)$/.exec(host);
  return found === null ? [host, ''] : [found[1]!, found[2]!];
}

/**
 * Writings of one index key, all different and all read as the same by the kubelet: a secret holds
 * several credentials for one key only under several writings.
 */
export function* keyWritings({ host, path }: KeyringKey): Generator<string> {
  const schemes = ['', 'https://', 'http://'];
  const versioned = ['/v1', '/v2'].map((version) => version + (path === '' ? '/' : path));
  // The kubelet would drop the first part of a repository that is called v1 or v2.
  const paths = /^\/v[12]\//.test(path) ? versioned : [path, ...versioned];
  for (const written of paths) for (const scheme of schemes) yield scheme + host + written;
  // The fragment is not part of the key.
  for (let at = 1; ; at++) yield `https://${host}${paths[0]}#${at}`;
}
