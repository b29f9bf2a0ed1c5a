import { ShoalError } from '../errors.ts';
import type { FetchedManifest } from './registry-client.ts';

export interface BlobDescriptor {
  digest: string;
  sizeBytes: number;
}

/** What pulling one image takes. */
export interface ImagePlan {
  repository: string;
  /**
   * What the user named: a tag or a digest, and the digest it stands for (of an index, if it is
   * one).
   */
  reference: string;
  digest: string;
  /** The image manifest: the one named, or the platform's of the index. */
  manifestDigest: string;
  /** Config and layers, each once. */
  blobs: BlobDescriptor[];
  imageBytes: number;
}

interface RawDescriptor {
  mediaType?: string;
  digest?: string;
  size?: number;
  urls?: string[];
  platform?: { os?: string; architecture?: string };
}

/**
 * Splits `REPO:TAG` or `REPO@sha256:...`; without either, the tag is `latest`. Null when it is no
 * image name.
 */
export function parseImageName(name: string): { repository: string; reference: string } | null {
  const parts =
    /^([a-z0-9]+(?:[._\-/]+[a-z0-9]+)*)(?::([\w][\w.-]{0,127})|@(sha256:[0-9a-f]{64}))?$/.exec(
      name,
    );
  if (parts === null || name.length > 512) return null;
  const [, repository = '', tag, digest] = parts;
  return { repository, reference: digest ?? tag ?? 'latest' };
}

/**
 * The digest of the linux/amd64 child of an index (the first child when there is none); null for an
 * image manifest.
 */
export function childOfIndex(manifest: FetchedManifest): string | null {
  const { manifests } = parse(manifest) as { manifests?: RawDescriptor[] };
  if (!Array.isArray(manifests)) return null;
  const child =
    manifests.find(
      ({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64',
    ) ?? manifests[0];
  if (typeof child?.digest !== 'string')
    throw new ShoalError('ORIGIN_BROKEN', 'an index without any manifest');
  return child.digest;
}

/**
 * Config and layers of an image manifest (OCI image-spec 1.1 or Docker schema 2), each once,
 * without those kept elsewhere.
 */
export function blobsOf(manifest: FetchedManifest): BlobDescriptor[] {
  const { config, layers } = parse(manifest) as {
    config?: RawDescriptor;
    layers?: RawDescriptor[];
  };
  if (config === undefined || !Array.isArray(layers))
    throw new ShoalError('ORIGIN_BROKEN', `${manifest.mediaType || 'this'} is no image manifest`);
  const blobs = new Map<string, BlobDescriptor>();
  for (const { digest, size, urls } of [config, ...layers]) {
    if (urls !== undefined && urls.length > 0) continue;
    if (
      typeof digest !== 'string' ||
      !/^sha256:[0-9a-f]{64}$/.test(digest) ||
      typeof size !== 'number'
    ) {
      throw new ShoalError('ORIGIN_BROKEN', 'a manifest with a descriptor that cannot be read');
    }
    blobs.set(digest, { digest, sizeBytes: size });
  }
  return [...blobs.values()];
}

function parse(manifest: FetchedManifest): object {
  try {
    const value: unknown = JSON.parse(manifest.bytes.toString());
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Told apart from JSON of another kind by nobody: both are no manifest.
  }
  throw new ShoalError('ORIGIN_BROKEN', 'a manifest that is not JSON');
}
