import { createHash } from 'node:crypto';
import type { Dispatcher } from 'undici';
import { ShoalError } from '../errors.ts';
import { PULL_CONCURRENCY } from '../limits.ts';
import type { Credentials } from '../registry/docker-config.ts';
import { PULL_DOCUMENT_BYTES_MAX } from './limits.ts';
import { blobBytes, type RegistryAddress, RegistrySession } from './registry-session.ts';

export interface FetchedManifest {
  digest: string;
  mediaType: string;
  bytes: Buffer;
}

const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

/** What a container runtime asks of a registry during a pull. */
export class RegistryClient {
  readonly #session: RegistrySession;

  /** `signal` ends whatever is under way. */
  constructor(address: RegistryAddress, credentials: Credentials | null, signal: AbortSignal) {
    this.#session = new RegistrySession(address, credentials, {
      userAgent: 'shoal-up',
      connections: PULL_CONCURRENCY + 1,
      signal,
    });
  }

  /**
   * The manifest or index under a tag or digest, with the digest of its bytes; DIGEST_MISMATCH when
   * the reference is another digest. Throws ORIGIN_REFUSED with the status, ORIGIN_UNREACHABLE, or
   * ORIGIN_BROKEN when it is too long.
   */
  async manifest(repository: string, reference: string): Promise<FetchedManifest> {
    const answer = await this.#get(`/v2/${repository}/manifests/${reference}`, { accept: ACCEPT });
    const bytes = await documentOf(answer.body);
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (reference.startsWith('sha256:') && reference !== digest)
      throw new ShoalError('DIGEST_MISMATCH', `manifest ${reference} arrived as ${digest}`);
    return {
      digest,
      mediaType: String(answer.headers['content-type'] ?? '')
        .split(';')[0]!
        .trim(),
      bytes,
    };
  }

  /**
   * Reads a blob to its end, telling the length of each part as it comes; returns the digest of
   * what came.
   */
  async blob(
    repository: string,
    digest: string,
    onBytes: (bytes: number) => void,
  ): Promise<string> {
    const answer = await this.#get(`/v2/${repository}/blobs/${digest}`, {});
    const hash = createHash('sha256');
    for await (const part of blobBytes(answer, digest)) {
      hash.update(part);
      onBytes(part.length);
    }
    return `sha256:${hash.digest('hex')}`;
  }

  /**
   * The `host:port` that a blob of this registry is redirected to, if it is; one byte is asked for.
   */
  async blobHost(repository: string, digest: string): Promise<string | null> {
    const answer = await this.#get(
      `/v2/${repository}/blobs/${digest}`,
      { range: 'bytes=0-0' },
      [307, 302, 308, 301, 303],
    );
    answer.body.on('error', () => undefined).destroy();
    const location = answer.headers['location'];
    const { url } = this.#session.address;
    if (typeof location !== 'string' || !URL.canParse(location, url)) return null;
    return new URL(location, url).host;
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  #get(
    path: string,
    headers: Record<string, string>,
    accepted?: readonly number[],
  ): Promise<Dispatcher.ResponseData> {
    return this.#session.get(this.#session.url(path), headers, accepted);
  }
}

async function documentOf(body: Dispatcher.ResponseData['body']): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > PULL_DOCUMENT_BYTES_MAX)
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `a document of more than ${PULL_DOCUMENT_BYTES_MAX} bytes`,
      );
    parts.push(part);
  }
  return Buffer.concat(parts);
}
