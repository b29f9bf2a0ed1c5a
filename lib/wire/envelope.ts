import { LRUCache } from 'lru-cache';
import { ShoalError, type ErrorCode } from '../errors.ts';
import { REQUEST_ID_HEADER } from '../telemetry/request-id.ts';
import { parseObject } from './fields.ts';
import { SEALS_CHARS_MAX, SEALS_KEPT } from './limits.ts';
import type { OriginTarget } from '../origin-target.ts';
import { formatOrigin, parseOrigin } from './sealed-origin.ts';
import { parseRefusal } from './refusal.ts';
import type { ClusterSecret } from './secret.ts';
import { formatVersion, parseVersion, PROTOCOL_VERSION, type ProtocolVersion } from './version.ts';

const AUTH_HEADER = 'shoal-auth';
const VERSION_HEADER = 'shoal-version';
const ORIGIN_HEADER = 'shoal-origin';
const WORDS_HEADER = 'shoal-words';

/** The statuses of an answer to an envelope that was not accepted. */
const REFUSALS: Partial<Record<ErrorCode, number>> = {
  PEER_UNAUTHORIZED: 401,
  PEER_ADDRESS: 421,
  PEER_VERSION: 426,
};

const KEPT = {
  max: SEALS_KEPT,
  maxSize: SEALS_CHARS_MAX,
  sizeCalculation: (_value: unknown, text: string): number => text.length,
};

/** What goes with a request beside its path. */
export interface Enclosed {
  /** Sealed: only another node may read it. */
  origin?: OriginTarget | null;
  /** JSON text of recent registry responses; sealed. */
  words?: string | null;
  requestId?: string;
  /** See OriginTarget. */
  traceparent?: string | undefined;
}

/** A request of another node, as the node that it came to reads it. */
export interface PeerRequest {
  /** Path with query. */
  path: string;
  /** The value of a header, by its name in lower case; '' when it is missing. */
  header(name: string): string;
}

export type Opened =
  | {
      kind: 'opened';
      /** null: none came along, or the node that sent it has another secret. */
      origin: OriginTarget | null;
      words: string | null;
      requestId: string;
    }
  | { kind: 'refused'; status: number; code: ErrorCode; message: string };

export interface EnvelopeParts {
  secret: ClusterSecret;
  /** This node's name. */
  self: string;
  wallMs: () => number;
  version?: ProtocolVersion;
}

/**
 * Signs and seals the requests of this node to others, and opens those of others to this one. A
 * signature covers the protocol version and the node that it is for, so a request that one node
 * received is of no use at another.
 */
export class Envelope {
  readonly #secret: ClusterSecret;
  readonly #self: string;
  readonly #wallMs: () => number;
  readonly #version: ProtocolVersion;
  /** Origins as text and their seals: each of a blob's shards goes with the same. */
  readonly #sealed = new LRUCache<string, string>(KEPT);
  /** Seals that were opened, and what is in them. */
  readonly #opened = new LRUCache<string, { origin: OriginTarget | null }>(KEPT);

  constructor({ secret, self, wallMs, version = PROTOCOL_VERSION }: EnvelopeParts) {
    this.#secret = secret;
    this.#self = self;
    this.#wallMs = wallMs;
    this.#version = version;
  }

  /** The headers of a GET of `path` (with query) from `node`. */
  headers(node: string, path: string, enclosed: Enclosed = {}): Record<string, string> {
    const { origin = null, words = null, requestId = '', traceparent } = enclosed;
    const version = formatVersion(this.#version);
    const sealedOrigin = origin === null ? '' : this.#seal(formatOrigin(origin));
    const sealedWords = words === null ? '' : this.#secret.seal(words);
    const headers: Record<string, string> = {
      host: node,
      [VERSION_HEADER]: version,
      [AUTH_HEADER]: this.#secret.sign(
        signed(node, path, version, sealedOrigin, sealedWords),
        this.#wallMs(),
      ),
    };
    if (sealedOrigin !== '') headers[ORIGIN_HEADER] = sealedOrigin;
    if (sealedWords !== '') headers[WORDS_HEADER] = sealedWords;
    if (requestId !== '') headers[REQUEST_ID_HEADER] = requestId;
    if (traceparent !== undefined) headers['traceparent'] = traceparent;
    return headers;
  }

  /** Checks version, signature and addressee, in this order, and opens the seals. */
  open(request: PeerRequest): Opened {
    const version = request.header(VERSION_HEADER);
    if (parseVersion(version)?.major !== this.#version.major)
      return refused(
        'PEER_VERSION',
        `the request speaks protocol ${version.slice(0, 20) || 'of no version'}, this node ` +
          `(${this.#self}) speaks ${formatVersion(this.#version)}; run releases with the same ` +
          'major protocol version in one cluster',
      );
    const node = request.header('host');
    const sealedOrigin = request.header(ORIGIN_HEADER);
    const sealedWords = request.header(WORDS_HEADER);
    const text = signed(node, request.path, version, sealedOrigin, sealedWords);
    const signature = request.header(AUTH_HEADER);
    if (!this.#secret.verify(signature, text, this.#wallMs()))
      return refused('PEER_UNAUTHORIZED', this.#mistrust(signature, text));
    if (node !== this.#self)
      return refused(
        'PEER_ADDRESS',
        `the request is for ${node}, but this node is ${this.#self}; use the same address in ` +
          'P2PConfig (peers, roots) and in DeployConfig.node',
      );
    return {
      kind: 'opened',
      origin: sealedOrigin === '' ? null : this.#open(sealedOrigin),
      words: sealedWords === '' ? null : this.#secret.open(sealedWords),
      requestId: request.header(REQUEST_ID_HEADER),
    };
  }

  #seal(origin: string): string {
    let sealed = this.#sealed.get(origin);
    if (sealed === undefined) this.#sealed.set(origin, (sealed = this.#secret.seal(origin)));
    return sealed;
  }

  /** The origin in a seal that came with a valid signature. */
  #open(sealed: string): OriginTarget | null {
    let opened = this.#opened.get(sealed);
    if (opened === undefined) {
      const text = this.#secret.open(sealed);
      opened = { origin: text === null ? null : parseOrigin(text) };
      this.#opened.set(sealed, opened);
    }
    return opened.origin === null ? null : { ...opened.origin };
  }

  /** Why a signature is not accepted. A node with the secret may know how far its clock is off. */
  #mistrust(signature: string, text: string): string {
    const madeMs = this.#secret.madeAtMs(signature, text);
    if (madeMs === null)
      return (
        "the request is not signed with this cluster's secret; give all nodes the same " +
        'P2PConfig.secretFile'
      );
    const aheadMs = madeMs - this.#wallMs();
    return (
      `the clock of the node that asks is ${Math.round(Math.abs(aheadMs) / 1000)} s ` +
      `${aheadMs > 0 ? 'ahead of' : 'behind'} that of ${this.#self}; synchronize the clocks ` +
      '(`timedatectl`)'
    );
  }
}

function refused(code: ErrorCode, message: string): Opened {
  return { kind: 'refused', status: REFUSALS[code]!, code, message };
}

/** What a signature covers; no part can hold a line break, as each is a part of a request head. */
function signed(node: string, path: string, version: string, ...sealed: string[]): string {
  return [node, 'GET', path, version, ...sealed].join('\n');
}

/** The error of an answer to an envelope that `node` did not accept; null for any other answer. */
export function envelopeError(node: string, status: number, body: string): ShoalError | null {
  const code = (Object.keys(REFUSALS) as ErrorCode[]).find((known) => REFUSALS[known] === status);
  if (code === undefined) return null;
  const message = parseRefusal(parseObject(body))?.message ?? 'no reason given';
  return new ShoalError(code, `${node} refused a request: ${message}`);
}
