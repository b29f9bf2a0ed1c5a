import { MANIFEST_MEMBERS_MAX } from '../limits.ts';
import { isMediaType } from './media.ts';
import { isSha256 } from './names.ts';

/**
 * The sha256 digests of what an image manifest, an index, or docker's schema 2 forms of them refer to in their own
 * repository: config, layers, manifests (image-spec 1.1). A registry has seen to it that these are there, but not
 * for layers with `urls` (foreign ones) nor for `subject`: to count them would open any blob to whoever can push a
 * manifest. What is no such JSON has no members. At most MANIFEST_MEMBERS_MAX.
 */
export function manifestMembers(body: Uint8Array): string[] {
  const manifest = parse(body);
  if (manifest === null) return [];
  return membersOf([manifest['config'], ...listOf(manifest['layers']), ...listOf(manifest['manifests'])]).map(({ digest }) => digest);
}

/** The manifests an index refers to, with their media types. What is no index has none. */
export function manifestsOf(body: Uint8Array): { digest: string; mediaType: string }[] {
  const manifest = parse(body);
  return manifest === null ? [] : membersOf(listOf(manifest['manifests'])).filter(({ mediaType }) => mediaType !== '');
}

function membersOf(descriptors: unknown[]): { digest: string; mediaType: string }[] {
  return descriptors.slice(0, MANIFEST_MEMBERS_MAX).flatMap((descriptor) => {
    if (!isObject(descriptor) || descriptor['urls'] !== undefined) return [];
    const { digest, mediaType } = descriptor;
    return typeof digest === 'string' && isSha256(digest) ? [{ digest, mediaType: typeof mediaType === 'string' && isMediaType(mediaType) ? mediaType : '' }] : [];
  });
}

function parse(body: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
