import { createHash } from 'node:crypto';
import type { KubeObject } from '../cluster/kubernetes/client.ts';
import { canonicalHost } from './image.ts';
import {
  byKeyringOrder,
  isHubAlias,
  keyHostFits,
  keyringKey,
  keyWritings,
  type KeyringKey,
} from './kubelet-keys.ts';
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
const COPY_LABEL = 'shoal/pull-secret-copy';
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
 * The copy that a pull secret needs: same type and credentials, keyed by the P2P host in place of
 * the registry; null when it holds no credentials for a rewritten registry. For each image the
 * kubelet finds the same credentials in the copy as in the original, in the same order.
 * Deterministic. The original owns the copy, so that the cluster's garbage collector removes it.
 */
export function pullSecretCopy(original: Secret, rules: RegistryRules): Secret | null {
  if (isCopy(original)) return null;
  const credentials = credentialsOf(original);
  if (credentials === null) return null;
  const entries = copiedEntries(credentials, rules);
  if (entries === null) return null;
  const type = original.type as PullSecretType;
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
  const keyHosts = [...(credentialsOf(secret)?.keys() ?? [])].flatMap(
    (key) => keyringKey(key)?.host ?? [],
  );
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

interface KeyedCredential extends KeyringKey {
  readonly key: string;
  readonly credential: Record<string, unknown>;
}

/** The credentials of the copy by their keys, in the kubelet's order; null when there are none. */
function copiedEntries(
  credentials: ReadonlyMap<string, Record<string, unknown>>,
  rules: RegistryRules,
): Record<string, Record<string, unknown>> | null {
  const byP2pHost = new Map<string, KeyedCredential[]>();
  const keyed = [...credentials].flatMap(([key, credential]) => {
    const read = keyringKey(key);
    return read === null ? [] : [{ key, credential, ...read }];
  });
  // Where the kubelet has no order (several writings of one key), the shortest writing comes first.
  keyed.sort(
    (a, b) => byKeyringOrder(a, b) || a.key.length - b.key.length || (a.key < b.key ? -1 : 1),
  );
  for (const one of keyed)
    for (const p2pHost of p2pHostsOf(one.host, rules))
      byP2pHost.set(p2pHost, [...(byP2pHost.get(p2pHost) ?? []), one]);
  const copied = [...byP2pHost].flatMap(([p2pHost, sources]) => copiedKeys(p2pHost, sources));
  if (copied.length === 0) return null;
  copied.sort(byKeyringOrder);
  const entries = new Map<string, Record<string, unknown>>();
  for (const one of copied) {
    for (const writing of keyWritings(one)) {
      if (entries.has(writing)) continue;
      entries.set(writing, one.credential);
      break;
    }
  }
  return Object.fromEntries(entries);
}

/** The credentials for one P2P host under the keys that keep the order of `sources`. */
function copiedKeys(
  p2pHost: string,
  sources: readonly KeyedCredential[],
): (KeyringKey & { credential: Record<string, unknown> })[] {
  // The kubelet uses Docker Hub's aliases only without a path, and when no other key matches.
  const isNamed = sources.some(({ host, path }) => path === '' && !isHubAlias(host));
  const used = sources.filter(({ host, path }) => !isHubAlias(host) || (!isNamed && path === ''));
  const hosts = [...new Set(used.map(({ host }) => host))];
  return used.map(({ host, path, credential }) => {
    // Paths of different keys would mix under one host. A glob that comes after other keys stays a
    // glob: each star at the end of the first label sorts it behind the keys with fewer.
    const stars = host.includes('*') ? '*'.repeat(hosts.indexOf(host)) : '';
    return { host: p2pHost.replace(/^[^.:[]+/, (label) => label + stars), path, credential };
  });
}

/** The P2P hosts that a key of the original stands for; several for a glob. */
function p2pHostsOf(keyHost: string, rules: RegistryRules): string[] {
  const host = canonicalHost(keyHost);
  if (isP2pHost(host, rules)) return [];
  const own = p2pHostOf(host, rules);
  // A glob in a key may cover registries whose P2P hosts do not match the glob; the rules list
  // them.
  const named = host.includes('*')
    ? rules.registries
        .map((rule) => rule.host)
        .filter((other) => !/[*?]/.test(other) && keyHostFits(host, other))
        .map((other) => p2pHostOf(other, rules))
        .filter((p2pHost) => own === null || p2pHost === null || !keyHostFits(own, p2pHost))
    : [];
  return [...new Set([own, ...named])].filter((p2pHost) => p2pHost !== null);
}

function asRecord(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}
