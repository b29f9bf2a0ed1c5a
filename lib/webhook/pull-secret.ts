import { createHash } from 'node:crypto';
import type { KubeObject } from '../cluster/kubernetes/client.ts';
import { canonicalHost } from './image.ts';
import { isP2pHost, p2pHostOf, type RegistryRules } from './registry-rule.ts';

/**
 * The two types of pull secrets with their data keys (Kubernetes, "Pull an Image from a Private
 * Registry").
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
 * Marks a copy made by Shoal. A secret with a copy's name but without this label belongs to
 * somebody else and is left alone.
 */
export const COPY_LABEL = 'shoal/pull-secret-copy';
/** Annotation on a copy: the name of its original. */
export const COPY_OF_ANNOTATION = 'shoal/copy-of';

const SECRET_NAME_CHARS_MAX = 253;

/**
 * `acr-credential-<name>-p2p` (docs/SPEC.md). A name that is too long for Kubernetes is truncated
 * and made unique by a hash.
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
 * The credentials in a pull secret by their registry key; null when it is not a pull secret or is
 * malformed.
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
 * Whether a pull secret holds credentials that the kubelet would use for one of `hosts` (each with
 * its port, if any).
 */
export function holdsCredentialsFor(secret: Secret, hosts: Iterable<string>): boolean {
  const keyHosts = [...(credentialsOf(secret)?.keys() ?? [])].map((key) => splitKey(key).host);
  for (const host of hosts) {
    if (keyHosts.some((keyHost) => keyHostFits(keyHost, host))) return true;
  }
  return false;
}

/** The step that brings the copy of a pull secret in line with its original. */
export type CopyStep =
  | { readonly kind: 'none' }
  | { readonly kind: 'create' | 'update' | 'replace'; readonly secret: Secret }
  | { readonly kind: 'remove'; readonly secret: Secret };

/**
 * `present` is the secret that has the copy's name. Idempotent: applied to its own result, it gives
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
  // The type of a secret is immutable; so is everything of an immutable secret.
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
 * The copied keys of one entry: the P2P host in place of the registry, the repository path kept. A
 * glob gives one key per registry it covers.
 */
function p2pKeysOf(registryKey: string, rules: RegistryRules): string[] {
  const { host, path } = splitKey(registryKey);
  if (isP2pHost(host, rules)) return [];
  // A glob in a key may cover registries whose P2P hosts do not match the glob; the rules list
  // them.
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
 * Host and path of a key as the kubelet reads it: the scheme is optional, and Docker's `/v1/` and
 * `/v2/` mean the whole registry.
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

/** The kubelet's rule for globs in keys: label by label, with an exact port. */
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
