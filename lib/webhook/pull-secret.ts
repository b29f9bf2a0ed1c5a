import { createHash } from 'node:crypto';
import type { KubeObject } from '../cluster/kubernetes/client.ts';
import { canonicalHost } from './image.ts';
import { isP2pHost, p2pHostOf, type RegistryRules } from './registry-rule.ts';

/**
 * The two types of pull secrets, and the data key and the shape of each (Kubernetes, "Pull an Image
 * from a Private Registry").
 */
const DATA_KEYS = {
  'kubernetes.io/dockerconfigjson': '.dockerconfigjson',
  'kubernetes.io/dockercfg': '.dockercfg',
} as const;
export type PullSecretType = keyof typeof DATA_KEYS;
export const PULL_SECRET_TYPES = Object.keys(DATA_KEYS) as PullSecretType[];

export interface Secret extends KubeObject {
  type?: string;
  data?: Record<string, string>;
}

/**
 * Marks a copy of ours; a secret of that name without it was made by somebody else and is left
 * alone.
 */
export const COPY_LABEL = 'shoal/pull-secret-copy';
/** Names the secret a copy was made from. */
export const COPY_OF_ANNOTATION = 'shoal/copy-of';

const SECRET_NAME_CHARS_MAX = 253;

/**
 * `acr-credential-<name>-p2p` (the seed's form); a name that grows too long for Kubernetes is cut
 * and told apart by a hash.
 */
export function copyName(name: string): string {
  const full = `acr-credential-${name}-p2p`;
  if (full.length <= SECRET_NAME_CHARS_MAX) return full;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 10);
  const room = SECRET_NAME_CHARS_MAX - 'acr-credential-'.length - '-p2p'.length - hash.length - 1;
  return `acr-credential-${name.slice(0, room).replace(/[^a-z0-9]+$/, '')}-${hash}-p2p`;
}

export function isCopy(secret: KubeObject): boolean {
  return secret.metadata.labels?.[COPY_LABEL] === 'true';
}

/**
 * The credentials a pull secret holds, by the registry key they stand under; null when it is no
 * pull secret or damaged.
 */
export function credentialsOf(secret: Secret): Map<string, Record<string, unknown>> | null {
  const key = DATA_KEYS[secret.type as PullSecretType] as string | undefined;
  const encoded = key === undefined ? undefined : secret.data?.[key];
  if (encoded === undefined) return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(encoded, 'base64').toString('utf8'));
  } catch {
    return null;
  }
  const auths = secret.type === 'kubernetes.io/dockerconfigjson' ? asRecord(parsed)?.auths : parsed;
  const entries = asRecord(auths);
  if (entries === null) return null;
  return new Map(
    Object.entries(entries).flatMap(([registry, entry]) =>
      asRecord(entry) === null ? [] : [[registry, asRecord(entry)!]],
    ),
  );
}

/**
 * The copy a pull secret needs: of its type, with the same credentials, each keyed by the P2P host
 * in place of the registry's; null when it holds none for a registry that is rewritten.
 * Deterministic: the same original gives the same bytes. It is owned by the original, so that the
 * cluster's garbage collector removes it too.
 */
export function pullSecretCopy(original: Secret, rules: RegistryRules): Secret | null {
  if (isCopy(original)) return null;
  const credentials = credentialsOf(original);
  if (credentials === null) return null;
  const copied = new Map<string, Record<string, unknown>>();
  // A host says more exactly what is meant than a glob, a bare host than the URL forms, and sorting
  // makes the outcome independent of their order.
  const vagueness = (registryKey: string): number =>
    Number(registryKey.includes('*')) * 2 + Number(registryKey.includes('/'));
  const registryKeys = [...credentials.keys()].sort(
    (a, b) => vagueness(a) - vagueness(b) || (a < b ? -1 : 1),
  );
  for (const registryKey of registryKeys) {
    for (const p2pKey of p2pKeysOf(registryKey, rules)) {
      if (!copied.has(p2pKey)) copied.set(p2pKey, credentials.get(registryKey)!);
    }
  }
  if (copied.size === 0) return null;
  const type = original.type as PullSecretType;
  const entries = Object.fromEntries([...copied].sort(([a], [b]) => (a < b ? -1 : 1)));
  const content = JSON.stringify(
    type === 'kubernetes.io/dockerconfigjson' ? { auths: entries } : entries,
  );
  const { name, namespace, uid } = original.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: copyName(name),
      ...(namespace === undefined ? {} : { namespace }),
      labels: { [COPY_LABEL]: 'true' },
      annotations: { [COPY_OF_ANNOTATION]: name },
      ...(uid === undefined
        ? {}
        : { ownerReferences: [{ apiVersion: 'v1', kind: 'Secret', name, uid }] }),
    },
    type,
    data: { [DATA_KEYS[type]]: Buffer.from(content).toString('base64') },
  };
}

/**
 * Whether a pull secret holds credentials that kubelet would use for one of `hosts` (with their
 * port, if any).
 */
export function holdsCredentialsFor(secret: Secret, hosts: Iterable<string>): boolean {
  const keyHosts = [...(credentialsOf(secret)?.keys() ?? [])].map((key) => splitKey(key).host);
  for (const host of hosts) {
    if (keyHosts.some((keyHost) => keyHostFits(keyHost, host))) return true;
  }
  return false;
}

/** What is to be done so that the copy of `original` in the cluster is as it should be. */
export type CopyStep =
  | { readonly kind: 'none' }
  | { readonly kind: 'create' | 'update' | 'replace'; readonly secret: Secret }
  | { readonly kind: 'remove'; readonly secret: Secret };

/**
 * `present` is the secret that now bears the copy's name. Calling it again on the outcome gives
 * `none`.
 */
export function planCopy(
  original: Secret | null,
  present: Secret | null,
  rules: RegistryRules,
): CopyStep {
  const wanted = original === null ? null : pullSecretCopy(original, rules);
  if (present !== null && !isCopy(present)) return { kind: 'none' };
  if (wanted === null)
    return present === null ? { kind: 'none' } : { kind: 'remove', secret: present };
  if (present === null) return { kind: 'create', secret: wanted };
  // The type of a secret cannot be changed, nor anything of an immutable one.
  if (present.type !== wanted.type || present.immutable === true)
    return { kind: 'replace', secret: wanted };
  const { metadata } = present;
  const asWanted =
    JSON.stringify(present.data) === JSON.stringify(wanted.data) &&
    metadata.annotations?.[COPY_OF_ANNOTATION] ===
      wanted.metadata.annotations![COPY_OF_ANNOTATION] &&
    metadata.ownerReferences?.[0]?.uid === wanted.metadata.ownerReferences?.[0]?.uid;
  if (asWanted) return { kind: 'none' };
  const { resourceVersion } = metadata;
  return {
    kind: 'update',
    secret: {
      ...wanted,
      metadata: {
        ...wanted.metadata,
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
    },
  };
}

/**
 * The keys of a copied entry: the P2P host in place of the registry's, a repository path kept.
 * Several for a glob that stands for several registries.
 */
function p2pKeysOf(registryKey: string, rules: RegistryRules): string[] {
  const { host, path } = splitKey(registryKey);
  if (isP2pHost(host, rules)) return [];
  // What a glob stands for may have P2P hosts that look nothing like it: the rules name them.
  const named = host.includes('*')
    ? rules.registries
        .map((rule) => rule.host)
        .filter((other) => !/[*?]/.test(other) && keyHostFits(host, other))
    : [];
  const p2pHosts = [host, ...named]
    .map((one) => p2pHostOf(one, rules))
    .filter((p2pHost) => p2pHost !== null);
  return [...new Set(p2pHosts)].map((p2pHost) => p2pHost + path);
}

/**
 * Host and path of a key as kubelet reads it: scheme optional, Docker's `/v1/` and `/v2/` meaning
 * the whole registry.
 */
function splitKey(key: string): { host: string; path: string } {
  const bare = key.replace(/^https?:\/\//i, '');
  const slash = bare.indexOf('/');
  if (slash === -1) return { host: canonicalHost(bare), path: '' };
  const path = bare
    .slice(slash)
    .replace(/^\/v[12](?=\/|$)/, '')
    .replace(/\/+$/, '');
  return { host: canonicalHost(bare.slice(0, slash)), path };
}

/** Kubelet's rule for globs in keys: label by label, the port exactly. */
function keyHostFits(keyHost: string, host: string): boolean {
  if (!keyHost.includes('*')) return keyHost === canonicalHost(host);
  const [keyLabels, labels] = [keyHost.split('.'), canonicalHost(host).split('.')];
  if (keyLabels.length !== labels.length) return false;
  return keyLabels.every((label, at) => {
    const pieces = label.split('*');
    if (pieces.length === 1) return label === labels[at];
    const [head, tail] = [pieces[0]!, pieces.at(-1)!];
    const text = labels[at]!;
    return (
      text.length >= head.length + tail.length &&
      text.startsWith(head) &&
      text.endsWith(tail) &&
      !(tail === '' && text.includes(':'))
    );
  });
}

function asRecord(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}
