import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { FrontDesk, type ControlParts } from '../../lib/control/control.ts';
import { Journal } from '../../lib/control/watch/journal.ts';
import type { PeerDeskParts } from '../../lib/control/peers/desk.ts';
import type { StreamParts } from '../../lib/control/serve/stream-parts.ts';
import { ShoalError } from '../../lib/errors.ts';
import { createLogger } from '../../lib/telemetry/logger.ts';
import type { RelayedAnswer } from '../../lib/control/upstream/relays.ts';
import type { ControlMessage, RelayRequest, RpcRequest } from '../../lib/workers/messages.ts';
import { KEY, settled } from './fixture.ts';

const MANIFEST = new TextEncoder().encode(
  JSON.stringify({ schemaVersion: 2, config: { digest: KEY, size: 1 }, layers: [] }),
);

describe('control/control', () => {
  let answer: RelayedAnswer | ShoalError;
  let relayed: RelayRequest[];
  let asked: unknown[];
  let sent: { message: ControlMessage; transfer: ArrayBuffer | undefined }[];
  let audited: unknown[];
  let noticed: [string, string, string][];
  let logged: Record<string, unknown>[];

  beforeEach(() => {
    answer = { status: 200, headers: { etag: '"x"' }, body: MANIFEST.slice() };
    [relayed, sent, audited, noticed, logged, asked] = [[], [], [], [], [], []];
  });

  function desk(
    page: ControlParts['page'] = async () => ({ status: 200, headers: {}, body: 'grüße' }),
  ): FrontDesk {
    const parts: ControlParts = {
      streams: {} as StreamParts,
      peers: {} as PeerDeskParts,
      questions: {
        answer: async (request) => {
          asked.push(request);
          return { status: 503, body: { kind: 'busy' } };
        },
      },
      preheats: {
        nodes: () => ({ self: 'n:1', nodes: [] }),
        preheat: async () => {
          throw new ShoalError('BAD_REQUEST', 'a stranger');
        },
      },
      salt: () => 'salt',
      keyOf: (blob) => blob.key,
      relay: async (request) => {
        relayed.push(request);
        if (answer instanceof ShoalError) throw answer;
        return answer;
      },
      page,
      audit: (batch, lines) => audited.push([batch, lines]),
      notice: (code, message, requestId) => noticed.push([code, message, requestId]),
      journal: new Journal(
        createLogger({
          level: 'debug',
          node: 'n:1',
          thread: 'control',
          write: (line) => logged.push(JSON.parse(line) as Record<string, unknown>),
        }),
        new ManualClock(),
      ),
    };
    return new FrontDesk(parts, (message, transfer) => sent.push({ message, transfer }));
  }

  const relay: RelayRequest = {
    kind: 'relay',
    id: 4,
    method: 'GET',
    url: 'https://r.example/v2/app/manifests/1',
    upstreamHost: 'r.example',
    headers: { authorization: 'Bearer t' },
    what: 'manifest',
    scope: 'repo r.example/app',
    repository: 'app',
    reference: '1',
    requestId: 'request-1',
  };

  it('passes a relayed answer on, its body moved', async () => {
    const { body } = answer as RelayedAnswer;
    desk().receive(relay);
    await settled();
    assert.deepEqual(relayed, [relay]);
    assert.deepEqual(sent[0]!.message, {
      kind: 'answer',
      id: 4,
      status: 200,
      headers: { etag: '"x"' },
      body,
    });
    assert.equal(sent[0]!.transfer, body.buffer);
  });

  it('does not take along the pool a small body lies in', async () => {
    answer = { status: 200, headers: {}, body: new Uint8Array(new ArrayBuffer(100), 10, 5) };
    desk().receive(relay);
    await settled();
    assert.equal(sent[0]!.transfer, undefined);
  });

  it('answers the requests of other nodes', async () => {
    const request: RpcRequest = {
      kind: 'rpc',
      id: 7,
      path: '/rpc/stat/x/1',
      query: 'node=a',
      origin: null,
      words: null,
      requestId: 'request-1',
    };
    desk().receive(request);
    await settled();
    assert.deepEqual(asked, [request]);
    const { message } = sent[0]!;
    assert.ok(message.kind === 'answer');
    assert.deepEqual(
      [message.id, message.status, JSON.parse(new TextDecoder().decode(message.body))],
      [7, 503, { kind: 'busy' }],
    );
  });

  it('says why a relay failed', async () => {
    answer = new ShoalError('ORIGIN_TIMEOUT', 'late');
    desk().receive(relay);
    await settled();
    assert.deepEqual(sent[0]!.message, {
      kind: 'refused',
      id: 4,
      error: { code: 'ORIGIN_TIMEOUT', message: 'late', status: 504 },
    });
    assert.deepEqual(
      logged.map(({ level, requestId, msg }) => [level, requestId, msg]),
      [
        ['debug', 'request-1', 'a client asks the registry'],
        ['warn', 'request-1', 'a client was refused'],
      ],
    );
  });

  it('answers a page in UTF-8, or an error with its code if the page cannot be made', async () => {
    desk().receive({ kind: 'page', id: 5, path: '/', query: '', isLocal: true, authorization: '' });
    desk(async () => Promise.reject(new ShoalError('PATH_UNKNOWN', 'no such page'))).receive({
      kind: 'page',
      id: 6,
      path: '/x',
      query: '',
      isLocal: true,
      authorization: '',
    });
    await settled();
    const [page, refused] = sent.map(({ message }) => message);
    assert.ok(page?.kind === 'answer');
    assert.equal(new TextDecoder().decode(page.body), 'grüße');
    assert.deepEqual(refused, {
      kind: 'refused',
      id: 6,
      error: { code: 'PATH_UNKNOWN', message: 'no such page', status: 404 },
    });
  });

  it('hands audit lines on', () => {
    const batch = new TextEncoder().encode('line\n');
    desk().receive({ kind: 'audit', batch, lines: 1 });
    assert.deepEqual(audited, [[batch, 1]]);
  });
});
