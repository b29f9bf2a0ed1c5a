import { systemClock } from '../clock.ts';
import { parseUpstream } from '../config/address.ts';
import { DOCKER_HUB } from '../docker-hub.ts';
import { parseImageName } from '../demo/image.ts';
import type { ImagePlan } from '../demo/image.ts';
import { Line } from '../demo/line.ts';
import { planPull } from '../demo/pull.ts';
import { RegistryClient } from '../demo/registry-client.ts';
import type { Credentials } from '../registry/docker-config.ts';
import { DemoRegistry } from '../demo/registry.ts';
import type { SampleImage } from '../demo/sample-image.ts';
import { ShoalError } from '../errors.ts';
import { UP_DIRECT_SECONDS, UP_LINE_BYTES_MIN } from './limits.ts';
import { storedCredentials } from './stored-credentials.ts';

export interface UpOptions {
  nodes: number;
  registry?: string;
  image?: string;
  once?: boolean;
  json?: boolean;
}

/** The image to pull and the registry that has it. */
export interface Source {
  upstream: string;
  credentials: Credentials | null;
  image: ImagePlan;
  /** Other hosts the registry sends clients to for blobs. */
  allow: string[];
  embedded: DemoRegistry | null;
}

export interface NamedImage {
  upstream: string;
  repository: string;
  reference: string;
}

/** The named registry and image, checked; null for the embedded ones. */
export function namedImage({ registry, image }: UpOptions): NamedImage | null {
  if (registry === undefined && image === undefined) return null;
  if (registry === undefined) throw new ShoalError('USAGE', '--image needs --registry URL');
  if (image === undefined) throw new ShoalError('USAGE', '--registry needs --image REPO:TAG');
  const upstream = parseUpstream(registry);
  if (upstream === null)
    throw new ShoalError(
      'USAGE',
      '--registry: allowed: an http or https URL of a registry, without path, query or credentials',
    );
  const name = parseImageName(image);
  if (name === null)
    throw new ShoalError(
      'USAGE',
      '--image: allowed: REPO, REPO:TAG or REPO@sha256:DIGEST, without the registry',
    );
  return upstream === `https://${DOCKER_HUB.name}`
    ? {
        upstream: `https://${DOCKER_HUB.host}`,
        ...name,
        repository: officialName(name.repository),
      }
    : { upstream, ...name };
}

/** Docker's official images have one-part names that stand for `library/NAME`. */
function officialName(repository: string): string {
  return repository.includes('/') ? repository : `library/${repository}`;
}

/**
 * Makes the sample image and serves it from this process, over a line that `nodes` direct pulls
 * fill for UP_DIRECT_SECONDS.
 */
export async function embeddedSource(
  makeSample: () => Promise<SampleImage>,
  nodes: number,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<Source> {
  say('  making a sample image, which takes some seconds\n');
  const sample = await makeSample();
  const sampleBytes = sample.blobs.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const line = new Line(
    Math.max(UP_LINE_BYTES_MIN, (nodes * sampleBytes) / UP_DIRECT_SECONDS),
    systemClock,
  );
  const embedded = await DemoRegistry.start(sample, systemClock, '127.0.0.1', line);
  const { url: upstream, credentials } = embedded;
  const client = new RegistryClient({ url: upstream, namespace: null }, credentials, signal);
  try {
    return {
      upstream,
      credentials,
      image: await planPull(client, sample.repository, sample.tag),
      allow: [],
      embedded,
    };
  } catch (error) {
    await embedded.close();
    throw error;
  } finally {
    await client.close();
  }
}

/**
 * Asks the named registry for the image: what cannot be pulled directly is not tried through a
 * swarm.
 */
export async function namedSource(
  { upstream, repository, reference }: NamedImage,
  signal: AbortSignal,
): Promise<Source> {
  const stored = await storedCredentials(new URL(upstream).host, repository);
  const credentials = stored?.credentials ?? null;
  const client = new RegistryClient({ url: upstream, namespace: null }, credentials, signal);
  try {
    const image = await planPull(client, repository, reference);
    const [first] = image.blobs;
    const elsewhere = first === undefined ? null : await client.blobHost(repository, first.digest);
    return {
      upstream,
      credentials,
      image,
      allow: elsewhere === null ? [] : [elsewhere],
      embedded: null,
    };
  } finally {
    await client.close();
  }
}
