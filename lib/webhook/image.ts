/**
 * A parsed image reference (grammar: distribution-spec 1.1 and the distribution project's reference
 * grammar).
 */
export interface ImageReference {
  /** Registry host with its port, lower case; `docker.io` if the reference has none. */
  readonly host: string;
  /** Repository within the registry; `library/` is added to Docker Hub's short names. */
  readonly repository: string;
  /** Tag and digest as written: `:latest`, `@sha256:...`, `:v1@sha256:...` or ``. */
  readonly suffix: string;
}

const DOCKER_HUB = 'docker.io';
/** Other names of Docker Hub in clients and pull secrets. */
const DOCKER_HUB_ALIASES = new Set([
  'index.docker.io',
  'registry-1.docker.io',
  'registry.docker.io',
]);

/** Longest `host/repository` that runtimes accept (reference grammar). */
const NAME_CHARS_MAX = 255;
/** A name, a tag of 128 characters and a sha512 digest fit; runtimes pull nothing longer. */
const REFERENCE_CHARS_MAX = 1024;

const LABEL = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?';
const IPV6 = '\\[[0-9a-f:.]+\\]';
const HOST = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|${IPV6})(?::[0-9]{1,5})?$`, 'i');
const PATH = /^[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-f]{32,}$/i;

/** Canonical form of a registry host: lower case, with Docker Hub's aliases mapped to one name. */
export function canonicalHost(host: string): string {
  const lower = host.toLowerCase();
  return DOCKER_HUB_ALIASES.has(lower) ? DOCKER_HUB : lower;
}

/** Parses an image reference; null when it is invalid (the runtime reports it). */
export function parseImage(image: string): ImageReference | null {
  if (image.length > REFERENCE_CHARS_MAX) return null;
  const { name, suffix } = splitSuffix(image);
  if (suffix === null || name.length > NAME_CHARS_MAX) return null;
  const slash = name.indexOf('/');
  const first = slash === -1 ? '' : name.slice(0, slash);
  // The first component is a host only if it cannot be a path: it contains a dot, a port or an
  // upper-case letter, or is `localhost`.
  const hasHost = /[.:A-Z]/.test(first) || first === 'localhost';
  if (hasHost && !HOST.test(first)) return null;
  const host = hasHost ? canonicalHost(first) : DOCKER_HUB;
  const rest = hasHost ? name.slice(slash + 1) : name;
  const repository = host === DOCKER_HUB && !rest.includes('/') ? `library/${rest}` : rest;
  if (!repository.split('/').every((component) => PATH.test(component))) return null;
  return { host, repository, suffix };
}

/**
 * Whether an image is named by its ID (`sha256:<hex>` or 64 hex digits). Runtimes find it on the
 * node and never pull it.
 */
export function isImageId(image: string): boolean {
  return /^(?:sha256:)?[0-9a-f]{64}$/.test(image);
}

/** The reference at another host; null when the name would be too long for runtimes. */
export function imageAt(host: string, reference: ImageReference): string | null {
  const name = `${host}/${reference.repository}`;
  return name.length > NAME_CHARS_MAX ? null : name + reference.suffix;
}

function splitSuffix(image: string): { name: string; suffix: string | null } {
  const at = image.indexOf('@');
  const beforeDigest = at === -1 ? image : image.slice(0, at);
  // A colon before the last slash belongs to the port of the host.
  const colon = beforeDigest.indexOf(':', beforeDigest.lastIndexOf('/') + 1);
  const name = colon === -1 ? beforeDigest : beforeDigest.slice(0, colon);
  const digestFits = at === -1 || DIGEST.test(image.slice(at + 1));
  const tagFits = colon === -1 || TAG.test(beforeDigest.slice(colon + 1));
  return { name, suffix: digestFits && tagFits ? image.slice(name.length) : null };
}
