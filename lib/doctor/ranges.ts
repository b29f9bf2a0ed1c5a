import { EnvHttpProxyAgent, request } from 'undici';
import { answeringHost } from '../docker-hub.ts';
import { ShoalError } from '../errors.ts';
import type { OriginClient } from '../origin/client.ts';
import type { RelayAnswer } from '../origin/relay.ts';
import { formHeaders, RegistryLogin, type Send } from '../registry/login.ts';
import { manifestMembers } from '../registry/manifest.ts';
import { splitUrl } from '../registry/url.ts';
import { failed, ok, warning, type Finding } from './finding.ts';
import { CHECK_TIMEOUT_MS } from './limits.ts';

/** An image by the names that a runtime has for it. */
export interface NamedImage {
  registry: string;
  repository: string;
  /** Tag or digest. */
  reference: string;
}

const ACCEPT = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ');
/** An index names manifests, and these name blobs. */
const DEPTH_MAX = 2;

/**
 * Whether a registry sends parts of blobs: one byte of a blob is read as a node reads it, by the
 * same proxies, credentials and redirects. The blob is of one of `images`, else of the first image
 * that the registry lists.
 */
export async function checkRanges(
  upstream: string,
  p2pHost: string,
  images: readonly NamedImage[],
  client: OriginClient,
): Promise<Finding> {
  const { origin, host } = splitUrl(upstream);
  const name = `registry ${host}: ranges`;
  const reader = new BlobFinder(origin, host, client);
  try {
    const image =
      images.find(({ registry }) => answeringHost(registry) === host || registry === p2pHost) ??
      (await reader.listed());
    if (image === null)
      return warning(
        name,
        'not tried: it lists no images to this node',
        `name one: shoal doctor --image ${host}/REPOSITORY:TAG`,
      );
    const url = await reader.blobOf(image);
    const { ranges } = await client.probe({
      url,
      upstreamHost: host,
      authorization: reader.authorization,
    });
    return ranges === 'whole'
      ? warning(
          name,
          `it answers a request for a part of ${image.repository} with the whole blob`,
          'let Range pass in proxies before it; without ranges one node reads each blob in one ' +
            'stream, and the swarm is slower',
        )
      : ok(name, `it sends parts of blobs (tried with ${image.repository})`);
  } catch (thrown) {
    const error = ShoalError.from(thrown);
    return error.code === 'ORIGIN_REFUSED' && error.status < 500
      ? warning(
          name,
          `not tried: ${error.message}`,
          `name an image that can be read without a credential, or set credentialsFile: shoal ` +
            `doctor --image ${host}/REPOSITORY:TAG`,
        )
      : failed(
          name,
          `a blob cannot be read: ${error.message}`,
          error.code === 'HOST_NOT_ALLOWED'
            ? 'add the host of its object storage to `storage` of the registry'
            : 'try it with curl from this machine, and correct the way there',
        );
  }
}

/** Finds a blob of a registry, answering its challenge as a client without credentials. */
class BlobFinder {
  readonly #origin: string;
  readonly #host: string;
  readonly #client: OriginClient;
  readonly #login = new RegistryLogin(null, askTokenServer);

  constructor(origin: string, host: string, client: OriginClient) {
    this.#origin = origin;
    this.#host = host;
    this.#client = client;
  }

  get authorization(): string | null {
    return this.#login.authorization;
  }

  /** The first image that the registry lists; null: it lists none, or not to strangers. */
  async listed(): Promise<NamedImage | null> {
    try {
      const { repositories } = await this.#json('/v2/_catalog?n=1', '');
      const [repository] = repositories as string[];
      const { tags } = await this.#json(`/v2/${repository}/tags/list?n=1`, repository!);
      const [reference] = tags as string[];
      return { registry: this.#host, repository: repository!, reference: reference! };
    } catch {
      // Many registries have no catalogue; which image there is has to be told then.
      return null;
    }
  }

  /** The URL of a blob of an image. Throws ShoalError. */
  async blobOf({ repository, reference }: NamedImage): Promise<string> {
    let wanted = reference;
    for (let depth = 0; depth < DEPTH_MAX; depth++) {
      const path = `/v2/${repository}/manifests/${wanted}`;
      const { headers, body } = await this.#get(path, repository);
      const type = headers['content-type'] ?? '';
      const member = manifestMembers(body, type, 'registry').at(-1)?.digest;
      if (member === undefined)
        throw new ShoalError('ORIGIN_BROKEN', `${this.#host}${path} is no image manifest`);
      const isIndex = /index|list/.test(type);
      if (!isIndex) return `${this.#origin}/v2/${repository}/blobs/${member}`;
      wanted = member;
    }
    throw new ShoalError('ORIGIN_BROKEN', `${repository} is an index of indexes`);
  }

  async #json(path: string, repository: string): Promise<Record<string, unknown>> {
    const { body } = await this.#get(path, repository);
    return JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
  }

  async #get(path: string, repository: string): Promise<RelayAnswer> {
    for (let isLast = false; ; isLast = true) {
      const sent = this.#login.authorization;
      const answer = await this.#client.relay({
        method: 'GET',
        url: `${this.#origin}${path}`,
        upstreamHost: this.#host,
        headers: { accept: ACCEPT, ...(sent === null ? {} : { authorization: sent }) },
      });
      if (answer.status === 200) return answer;
      const mayTryAgain =
        answer.status === 401 &&
        !isLast &&
        (await this.#login.challenged(answer, sent, repository, false));
      if (!mayTryAgain)
        throw new ShoalError(
          'ORIGIN_REFUSED',
          `${this.#host}${path.split('?')[0]} answers ${answer.status}`,
          { status: answer.status },
        );
    }
  }
}

/** Token servers are asked by clients, and so past the allow-list of the node. */
const askTokenServer: Send = async (url, headers, form) =>
  request(url, {
    dispatcher: new EnvHttpProxyAgent(),
    headers: { ...headers, ...formHeaders(form), 'user-agent': 'shoal-doctor' },
    signal: AbortSignal.timeout(CHECK_TIMEOUT_MS),
    ...(form === undefined ? {} : { method: 'POST', body: form.toString() }),
  });
