import { blobsOf } from '../demo/image.ts';
import type { BlobDescriptor } from '../demo/image.ts';
import type { FetchedManifest } from '../demo/registry-client.ts';
import { ShoalError } from '../errors.ts';
import { parseImage } from '../webhook/image.ts';

/** An image to be brought in, by the names a node needs. */
export interface NamedImage {
  /** As the user wrote it. */
  name: string;
  /** Host and port, as in image names. */
  registry: string;
  repository: string;
  /** Tag or digest. */
  reference: string;
}

export interface Platform {
  os: string;
  architecture: string;
  /** Null: whichever. */
  variant: string | null;
}

/** What one image takes: every blob once, over all the platforms asked for. */
interface PreheatPlan {
  digest: string;
  /**
   * `os/arch[/variant]` of each manifest; empty where the image is for one platform and does not
   * say which.
   */
  platforms: string[];
  blobs: BlobDescriptor[];
}

interface IndexEntry {
  digest?: string;
  platform?: { os?: string; architecture?: string; variant?: string };
}

/** Asks for a manifest by tag or digest. */
type FetchManifest = (reference: string) => Promise<FetchedManifest>;

/** Takes an image name apart, a digest before a tag. Throws USAGE. */
export function namedImage(name: string): NamedImage {
  const parsed = parseImage(name);
  if (parsed === null)
    throw new ShoalError(
      'USAGE',
      `${JSON.stringify(name)} is no image name; allowed: [HOST[:PORT]/]REPO[:TAG][@DIGEST]`,
    );
  const [tag, digest] = parsed.suffix.split('@');
  if (digest !== undefined && !/^sha256:[0-9a-f]{64}$/.test(digest))
    throw new ShoalError('USAGE', `${JSON.stringify(name)}: allowed: a sha256 digest`);
  return {
    name,
    registry: parsed.host,
    repository: parsed.repository,
    reference: digest ?? (tag === undefined || tag === '' ? 'latest' : tag.slice(1)),
  };
}

/** `os/arch` or `os/arch/variant`; null for anything else. */
export function parsePlatform(text: string): Platform | null {
  const parts = /^([a-z0-9]+)\/([a-z0-9_]+)(?:\/([a-z0-9]+))?$/.exec(text);
  return parts === null
    ? null
    : { os: parts[1]!, architecture: parts[2]!, variant: parts[3] ?? null };
}

/** The platform this machine's runtime would pull, in the names of image-spec 1.1 (Go's). */
export function ownPlatform(arch: string = process.arch): Platform {
  const names: Record<string, string> = { x64: 'amd64', ia32: '386' };
  return { os: 'linux', architecture: names[arch] ?? arch, variant: null };
}

/**
 * What is to be read for an image: its manifest or, of an index, that of `platform`, or all of them
 * when it is null. Throws what `fetch` throws, ORIGIN_REFUSED when the image is not for that
 * platform, ORIGIN_BROKEN for what is no image.
 */
export async function planPreheat(
  fetch: FetchManifest,
  reference: string,
  platform: Platform | null,
): Promise<PreheatPlan> {
  const named = await fetch(reference);
  const entries = entriesOf(named);
  if (entries === null) return { digest: named.digest, platforms: [], blobs: blobsOf(named) };
  const chosen = entries.filter((entry) =>
    platform === null ? isForAnyone(entry) : fits(entry, platform),
  );
  if (chosen.length === 0) {
    const known = entries.filter(isForAnyone).map(platformName).join(', ');
    throw new ShoalError(
      'ORIGIN_REFUSED',
      `not for ${platform === null ? 'any platform' : nameOf(platform)}; there is: ` +
        `${known === '' ? 'nothing' : known}`,
      { status: 404 },
    );
  }
  // One platform means one manifest, the first that fits, as a runtime takes it.
  const wanted = platform === null ? chosen : chosen.slice(0, 1);
  const blobs = new Map<string, BlobDescriptor>();
  for (const { digest } of wanted) {
    if (typeof digest !== 'string')
      throw new ShoalError('ORIGIN_BROKEN', 'an index with an entry without a digest');
    for (const blob of blobsOf(await fetch(digest))) blobs.set(blob.digest, blob);
  }
  return { digest: named.digest, platforms: wanted.map(platformName), blobs: [...blobs.values()] };
}

/** The entries of an index; null for what is none. */
function entriesOf(manifest: FetchedManifest): IndexEntry[] | null {
  try {
    const { manifests } = JSON.parse(manifest.bytes.toString()) as { manifests?: IndexEntry[] };
    return Array.isArray(manifests) ? manifests : null;
  } catch {
    // Said better by whoever reads it as a manifest.
    return null;
  }
}

function fits({ platform }: IndexEntry, wanted: Platform): boolean {
  return (
    platform?.os === wanted.os &&
    platform.architecture === wanted.architecture &&
    (wanted.variant === null || platform.variant === wanted.variant)
  );
}

/**
 * Build attestations hang on an index under the platform `unknown/unknown`; no runtime pulls them.
 */
function isForAnyone({ platform }: IndexEntry): boolean {
  return platform?.os !== 'unknown';
}

function platformName({ platform }: IndexEntry): string {
  return nameOf({
    os: platform?.os ?? '?',
    architecture: platform?.architecture ?? '?',
    variant: platform?.variant ?? null,
  });
}

function nameOf({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === null ? [] : [variant])].join('/');
}
