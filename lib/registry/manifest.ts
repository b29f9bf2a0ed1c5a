import { MANIFEST_MEMBERS_MAX } from './limits.ts';
import { bareType, isMediaType } from './media.ts';
import { isSha256 } from './names.ts';

/**
 * By what an image manifest, an index, and their descriptors name what is in their repository
 * (image-spec 1.1), by the names in lower case.
 */
const MEMBER_KEYS = new Map(
  ['config', 'layers', 'manifests', 'digest', 'urls', 'mediaType'].map((key) => [
    key.toLowerCase(),
    key,
  ]),
);
const IMAGE_TYPES = new Set([
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]);
const INDEX_TYPES = new Set([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]);

/** How a manifest is known to be of its type. */
export type TypeSource =
  /** The registry has just sent it as that. */
  | 'registry'
  /** An index or another node has said so: the manifest must say it as well. */
  | 'hearsay';

/**
 * The sha256 digests, with their sizes, of what an image manifest (config, layers) or an index
 * (manifests), in the OCI's form or docker's schema 2, refers to in its own repository. A registry
 * has seen to it that these are there, but not for layers with `urls` (foreign ones), for
 * `subject`, nor for what a manifest of this type has no business to name: to count them would
 * open any blob to whoever can push a manifest. So would a document that the registry reads
 * otherwise than we do (`isAmbiguous`), or as another type. What is no such JSON has no members.
 * At most MANIFEST_MEMBERS_MAX.
 */
export function manifestMembers(
  body: Uint8Array,
  contentType: string,
  source: TypeSource,
): { digest: string; sizeBytes: number | null }[] {
  const manifest = parse(body);
  const type = bareType(contentType);
  if (
    manifest === null ||
    (manifest['mediaType'] ?? (source === 'registry' ? type : null)) !== type
  )
    return [];
  const named = IMAGE_TYPES.has(type)
    ? [manifest['config'], ...listOf(manifest['layers'])]
    : INDEX_TYPES.has(type)
      ? listOf(manifest['manifests'])
      : [];
  return membersOf(named).map(({ digest, sizeBytes }) => ({ digest, sizeBytes }));
}

/** The manifests an index refers to, with their media types. What is no index has none. */
export function manifestsOf(body: Uint8Array): { digest: string; mediaType: string }[] {
  const manifest = parse(body);
  return manifest === null
    ? []
    : membersOf(listOf(manifest['manifests'])).filter(({ mediaType }) => mediaType !== '');
}

interface Member {
  digest: string;
  mediaType: string;
  /** As the manifest says; null: not, or not in bytes. */
  sizeBytes: number | null;
}

function membersOf(descriptors: unknown[]): Member[] {
  return descriptors.slice(0, MANIFEST_MEMBERS_MAX).flatMap((descriptor) => {
    if (!isObject(descriptor) || isAmbiguous(descriptor) || descriptor['urls'] !== undefined)
      return [];
    const { digest, mediaType, size } = descriptor;
    return typeof digest === 'string' && isSha256(digest)
      ? [
          {
            digest,
            mediaType: typeof mediaType === 'string' && isMediaType(mediaType) ? mediaType : '',
            sizeBytes: Number.isSafeInteger(size) && Number(size) >= 0 ? Number(size) : null,
          },
        ]
      : [];
  });
}

/**
 * Whether an object has a key that is one of ours but for its case. Go's encoding/json, by which
 * most registries read manifests, takes `Layers` (and `layer\u017f`) for `layers`, and of two the
 * last: what we read under the right name then need not be what the registry checked.
 */
function isAmbiguous(object: Record<string, unknown>): boolean {
  return Object.keys(object).some(
    (key) => (MEMBER_KEYS.get(key.normalize('NFKC').toLowerCase()) ?? key) !== key,
  );
}

function parse(body: Uint8Array): Record<string, unknown> | null {
  const text = new TextDecoder().decode(body);
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && !isAmbiguous(value) && keysIn(text) === keysOf(value) ? value : null;
  } catch {
    return null;
  }
}

/**
 * How many keys JSON text has, those of the same name in one object counted each. Of two we have
 * the last; Go puts the second into what the first has left, so that a layer can be a foreign one
 * to the registry, by the `urls` of the first, and none to us.
 */
function keysIn(text: string): number {
  let keys = 0;
  for (const match of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?/g))
    if (match[1] !== undefined) keys += 1;
  return keys;
}

function keysOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const values: unknown[] = Object.values(value);
  return values.reduce(
    (keys: number, each) => keys + keysOf(each),
    Array.isArray(value) ? 0 : values.length,
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
