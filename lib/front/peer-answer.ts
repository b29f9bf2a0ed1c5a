import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import type { ClusterSecret } from '../wire/secret.ts';
import { ShoalError, type WireError } from '../errors.ts';
import { PEER_HOLD_MS, SHARD_BYTES } from '../limits.ts';
import type { ControlMessage, OriginContext } from '../workers/messages.ts';
import { BodySender, type SenderTools } from './body-sender.ts';
import type { ControlLink } from './control-link.ts';
import {
  parseFetch,
  parsePread,
  parseRecall,
  parseStat,
  parseWords,
  WORDS_PATH,
  type FetchQuery,
  type PreadQuery,
} from '../wire/rpc.ts';
import type { Tier } from '../telemetry/metrics-list.ts';
import { acceptRequestId, REQUEST_ID_HEADER } from '../telemetry/request-id.ts';
import { TIERS } from './blob-answer.ts';
import { answer, statusLine } from './responses.ts';

export interface PeerTools extends Omit<SenderTools, 'watermark'> {
  link: ControlLink;
  secret: ClusterSecret;
  wallMs: () => number;
  /** Set while the node drains: children are sent elsewhere. */
  draining(): boolean;
  /** One answer begins; `over` ends it. */
  started(): void;
  /** One `rpc:pread` or `rpc:stat` is over. */
  over(
    op: 'rpc:pread' | 'rpc:stat',
    answer: {
      pathname: string;
      offsetBytes: number;
      sentBytes: number;
      failed: boolean;
      startMs: number;
    },
  ): void;
  /** `bytes` of a shard went out, which had to be looked for in `tier`. */
  sent(tier: Tier, bytes: number): void;
  /** What an `rpc:pread` was answered with, or that a question or a word about a registry was. */
  answered(kind: 'data' | 'redirect' | 'busy' | 'miss' | 'fetch' | 'recall' | 'words'): void;
  /** A request without a valid signature was turned away. */
  intruder(): void;
}

/** Puts the p2p port's requests on `app`; what they look like stands in lib/wire/rpc.ts. */
export function servePeers(app: TemplatedApp, tools: PeerTools): void {
  const signed =
    (handle: (res: HttpResponse, req: HttpRequest, path: string, query: string) => void) =>
    (res: HttpResponse, req: HttpRequest) => {
      const path = req.getUrl();
      const query = req.getQuery() ?? '';
      if (
        tools.secret.verify(
          req.getHeader('shoal-auth'),
          'GET',
          query === '' ? path : `${path}?${query}`,
          tools.wallMs(),
          req.getHeader('shoal-origin') + req.getHeader('shoal-words'),
        )
      ) {
        handle(res, req, path, query);
        return;
      }
      tools.intruder();
      sayError(
        res,
        401,
        new ShoalError(
          'PEER_UNAUTHORIZED',
          "the request is not signed with this cluster's secret, or the clocks differ by more than a minute",
        ).toWire(),
      );
    };
  app.get(
    '/rpc/pread/*',
    signed((res, req, path, query) => {
      const pread = parsePread(path, query);
      if (tools.draining()) say(res, 404, { kind: 'miss' });
      else if (pread === null)
        sayError(res, 400, new ShoalError('BAD_REQUEST', 'not a shard request').toWire());
      else
        new PeerAnswer(
          res,
          pread,
          openOrigin(req.getHeader('shoal-origin'), tools.secret),
          acceptRequestId(req.getHeader(REQUEST_ID_HEADER)),
          tools,
        );
    }),
  );
  app.get(
    '/rpc/stat/*',
    signed((res, _req, path, query) => stat(res, path, query, tools)),
  );
  app.get(
    '/rpc/fetch/*',
    signed((res, req, path, query) =>
      fetchBlob(
        res,
        parseFetch(path, query),
        openOrigin(req.getHeader('shoal-origin'), tools.secret),
        acceptRequestId(req.getHeader(REQUEST_ID_HEADER)),
        tools,
      ),
    ),
  );
  app.get(
    '/rpc/recall/*',
    signed((res, _req, path) => recall(res, parseRecall(path), tools)),
  );
  app.get(
    WORDS_PATH,
    signed((res, req) => {
      const words = parseWords(tools.secret.open(req.getHeader('shoal-words')));
      if (words !== null) {
        tools.answered('words');
        tools.link.tell({ kind: 'words', words });
        say(res, 200, {});
      } else sayError(res, 400, new ShoalError('BAD_REQUEST', 'no sealed words').toWire());
    }),
  );
  app.any('/*', (res) =>
    sayError(
      res,
      404,
      new ShoalError(
        'BAD_REQUEST',
        'nodes speak /rpc/pread, /rpc/stat, /rpc/fetch, /rpc/recall and /rpc/words',
      ).toWire(),
    ),
  );
}

function recall(res: HttpResponse, ids: string[] | null, tools: PeerTools): void {
  if (ids === null) {
    sayError(res, 400, new ShoalError('BAD_REQUEST', 'not ids to be asked about').toWire());
    return;
  }
  let gone = false;
  res.onAborted(() => (gone = true));
  tools.link.recall({ ids }, (message) => {
    tools.answered('recall');
    if (!gone && message.kind === 'answer')
      res.cork(() => answer(res, message.status, message.headers, message.body));
  });
}

function fetchBlob(
  res: HttpResponse,
  query: FetchQuery | null,
  origin: OriginContext | null,
  requestId: string,
  tools: PeerTools,
): void {
  if (query === null || tools.draining()) {
    sayError(
      res,
      query === null ? 400 : 503,
      new ShoalError(
        query === null ? 'BAD_REQUEST' : 'DRAINING',
        query === null ? 'not a blob to be fetched' : 'this node is about to stop',
      ).toWire(),
    );
    return;
  }
  let gone = false;
  res.onAborted(() => (gone = true));
  tools.link.fetch({ ...query, origin, requestId }, (message) => {
    tools.answered('fetch');
    if (!gone && message.kind === 'answer')
      res.cork(() => answer(res, message.status, message.headers, message.body));
    else if (!gone && message.kind === 'refused') res.cork(() => sayError(res, 424, message.error));
  });
}

/**
 * The way to the origin that came along sealed; null: none did, or what did is no such thing (that
 * of another version, say).
 */
function openOrigin(sealed: string, secret: ClusterSecret): OriginContext | null {
  const text = sealed === '' ? null : secret.open(sealed);
  return text === null ? null : parseOrigin(text);
}

function parseOrigin(text: string): OriginContext | null {
  try {
    const { url, upstreamHost, authorization, accept } = JSON.parse(text) as Record<
      string,
      unknown
    >;
    const isOptional = (value: unknown): value is string | null | undefined =>
      value === null || value === undefined || typeof value === 'string';
    if (
      typeof url !== 'string' ||
      typeof upstreamHost !== 'string' ||
      !isOptional(authorization) ||
      !isOptional(accept)
    )
      return null;
    return {
      url,
      upstreamHost,
      authorization: authorization ?? null,
      ...(typeof accept === 'string' ? { accept } : {}),
    };
  } catch {
    return null;
  }
}

function say(res: HttpResponse, status: number, body: object): void {
  answer(res, status, { 'Content-Type': 'application/json' }, JSON.stringify(body));
}

function sayError(res: HttpResponse, status: number, error: WireError): void {
  say(res, status, error);
}

/**
 * One node reading the rest of one shard from us.
 *
 *   asked -> peer (redirect | busy | miss) | refused: said at once
 *         \-> granted -> bytes to send within PEER_HOLD_MS -> head -> body to the end of the shard
 *                                        \-> none yet: "busy", so that the other side knows we live
 */
class PeerAnswer {
  readonly #res: HttpResponse;
  readonly #pread: PreadQuery;
  readonly #tools: PeerTools;
  readonly #startMs: number;
  readonly #ask: number;
  readonly #holdTimer: NodeJS.Timeout;
  #place: { slot: number; generation: number } | null = null;
  #checksum: string | null = null;
  #cold = false;
  #pathname: string;
  #sender: BodySender | null = null;
  #sentBytes = 0;
  #over = false;

  constructor(
    res: HttpResponse,
    pread: PreadQuery,
    origin: OriginContext | null,
    requestId: string,
    tools: PeerTools,
  ) {
    this.#res = res;
    this.#pread = pread;
    this.#pathname = `/${pread.key}`;
    this.#tools = tools;
    this.#startMs = tools.nowMs();
    res.onAborted(() => this.#finish(true));
    tools.started();
    const { key, shard, node, zone, role, exclude, hops, load } = pread;
    this.#holdTimer = setTimeout(() => this.#busy(), PEER_HOLD_MS);
    this.#ask = tools.link.ask(
      { key, shard, node, zone, role, exclude, hops, load, origin, requestId },
      (message) => this.#heard(message),
    );
  }

  /** Waits for the shard's length and the first byte past what the child has. */
  look(): boolean {
    if (this.#over || this.#place === null) return false;
    const { arena } = this.#tools;
    const { slot, generation } = this.#place;
    const lengthBytes = arena.length(slot);
    const ready =
      lengthBytes >= 0 &&
      (this.#watermark(slot) > this.#pread.fromBytes || this.#pread.fromBytes >= lengthBytes);
    const totalBytes = arena.total(slot);
    if (arena.generation(slot) !== generation) {
      // The bell may be quicker than control's word why the shard was given up, which the child
      // must hear; without one it hears "busy".
      this.#place = null;
      return false;
    }
    if (ready) this.#begin(lengthBytes, totalBytes);
    return !ready;
  }

  /**
   * Up to where the child may be sent the slot: a parent's child checks all of it against the
   * owner's word, and may have whatever has arrived.
   */
  #watermark(slot: number): number {
    const { arena } = this.#tools;
    return this.#pread.role === 'parent' ? arena.received(slot) : arena.owned(slot);
  }

  #heard(message: ControlMessage): void {
    if (this.#over) return;
    if (message.kind === 'granted') {
      this.#place = { slot: message.slot, generation: message.generation };
      this.#checksum = message.checksum;
      this.#cold = message.cold;
      this.#pathname = message.pathname ?? this.#pathname;
      if (this.look()) this.#tools.followers.add(this);
    } else if (message.kind === 'peer') {
      const verdict = message.answer;
      this.#tools.answered(verdict.kind);
      this.#end(verdict.kind === 'redirect' ? 307 : verdict.kind === 'busy' ? 503 : 404, verdict);
    } else if (message.kind === 'refused') {
      if (this.#sender !== null) this.#close();
      else this.#end(424, message.error);
    }
  }

  #begin(lengthBytes: number, totalBytes: number): void {
    const { shard, fromBytes } = this.#pread;
    if (fromBytes > lengthBytes) {
      this.#end(
        400,
        new ShoalError('BAD_REQUEST', `byte ${fromBytes} of a shard of ${lengthBytes}`).toWire(),
      );
      return;
    }
    clearTimeout(this.#holdTimer);
    this.#tools.answered('data');
    this.#res.cork(() => {
      this.#res.writeStatus(statusLine(200));
      this.#res.writeHeader('Content-Type', 'application/octet-stream');
      this.#res.writeHeader('Shoal-Total', String(totalBytes));
      if (this.#checksum !== null) this.#res.writeHeader('Shoal-Checksum', this.#checksum);
      if (fromBytes === lengthBytes) {
        this.#res.end('');
        this.#finish(false);
        return;
      }
      const startBytes = shard * SHARD_BYTES;
      this.#sender = new BodySender(
        this.#res,
        { ...this.#tools, watermark: (slot) => this.#watermark(slot) },
        {
          place: () => this.#held(),
          sent: (bytes, _shard, slot) => this.#sent(bytes, slot),
          done: () => this.#finish(false),
        },
        startBytes + fromBytes,
        startBytes + lengthBytes,
      );
      this.#sender.pump();
    });
  }

  /**
   * The place while it holds; when the slot was given to another shard meanwhile, the child must
   * look elsewhere.
   */
  #held(): { slot: number; generation: number } | null {
    const place = this.#place!;
    if (this.#tools.arena.generation(place.slot) === place.generation) return place;
    queueMicrotask(() => this.#close());
    return null;
  }

  #sent(bytes: number, slot: number): void {
    this.#sentBytes += bytes;
    this.#tools.sent(this.#cold ? TIERS[this.#tools.arena.source(slot)] : 'arena', bytes);
  }

  #busy(): void {
    this.#tools.answered('busy');
    if (this.#sender === null) this.#end(503, { kind: 'busy', retryMs: 1 });
  }

  #end(status: number, body: object): void {
    if (this.#over) return;
    this.#finish(status >= 400 && status !== 503 && status !== 404);
    this.#res.cork(() => say(this.#res, status, body));
  }

  #close(): void {
    if (!this.#over) this.#res.close(); // runs onAborted, which finishes
  }

  #finish(failed: boolean): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#holdTimer);
    this.#sender?.stop();
    this.#tools.followers.delete(this);
    this.#tools.link.close(this.#ask, this.#sender !== null && !failed, this.#sentBytes);
    const { shard, fromBytes } = this.#pread;
    this.#tools.over('rpc:pread', {
      pathname: this.#pathname,
      offsetBytes: shard * SHARD_BYTES + fromBytes,
      sentBytes: this.#sentBytes,
      failed,
      startMs: this.#startMs,
    });
  }
}

function stat(res: HttpResponse, path: string, query: string, tools: PeerTools): void {
  const request = parseStat(path, query);
  if (request === null) {
    sayError(res, 400, new ShoalError('BAD_REQUEST', 'not a shard request').toWire());
    return;
  }
  const startMs = tools.nowMs();
  let gone = false;
  res.onAborted(() => (gone = true));
  tools.started();
  tools.link.stat(request, (message) => {
    tools.over('rpc:stat', {
      pathname: message.kind === 'stat' ? message.pathname : `/${request.key}`,
      offsetBytes: request.shard * SHARD_BYTES,
      sentBytes: 0,
      failed: message.kind !== 'stat',
      startMs,
    });
    if (gone) return;
    res.cork(() => {
      if (message.kind === 'stat')
        say(res, 200, {
          totalBytes: message.totalBytes,
          lengthBytes: message.lengthBytes,
          checksum: message.checksum,
        });
      else if (message.kind === 'peer')
        say(res, message.answer.kind === 'busy' ? 503 : 404, message.answer);
      else if (message.kind === 'refused') sayError(res, 424, message.error);
    });
  });
}
