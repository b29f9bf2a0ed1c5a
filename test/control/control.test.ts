import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { FrontDesk, type ControlParts } from '../../lib/control/control.ts';
import { Gate } from '../../lib/control/gate.ts';
import { Journal } from '../../lib/control/journal.ts';
import type { PeerDeskParts } from '../../lib/control/peer-desk.ts';
import type { StreamParts } from '../../lib/control/streams.ts';
import { ShoalError } from '../../lib/errors.ts';
import { AccessLedger } from '../../lib/registry/access.ts';
import { createLogger } from '../../lib/telemetry/logger.ts';
import type { ControlMessage } from '../../lib/workers/messages.ts';
import type { RelayJob, RelayResult } from '../../lib/workers/pool.ts';
import { KEY, settled } from './fixture.ts';
import { BLOB } from './stream-fixture.ts';

const MANIFEST = new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, config: { digest: KEY, size: 1 }, layers: [] }));

describe('control/control', () => {
  let gate: Gate;
  let answer: RelayResult;
  let relayed: RelayJob[];
  let sent: { message: ControlMessage; transfer: ArrayBuffer | undefined }[];
  let audited: unknown[];
  let noticed: [string, string, string][];
  let logged: Record<string, unknown>[];

  beforeEach(() => {
    gate = new Gate({
      ledger: new AccessLedger({ clock: new ManualClock(), ttlMs: 60_000, staleTtlMs: 0, check: 'strict' }),
      probe: async () => ({ kind: 'failed', error: { code: 'INTERNAL', message: 'not asked here' } }),
      totalOf: () => null, sized: () => undefined,
      count: () => undefined,
    });
    answer = { kind: 'answer', status: 200, headers: { etag: '"x"' }, body: MANIFEST.slice() };
    [relayed, sent, audited, noticed, logged] = [[], [], [], [], []];
  });

  function desk(page: ControlParts['page'] = async () => ({ status: 200, headers: {}, body: 'grüße' })): FrontDesk {
    const parts: ControlParts = {
      streams: {} as StreamParts,
      peers: {} as PeerDeskParts,
      gate,
      relay: async (job) => {
        relayed.push(job);
        return answer;
      },
      page,
      audit: (batch, lines) => audited.push([batch, lines]),
      notice: (code, message, requestId) => noticed.push([code, message, requestId]),
      journal: new Journal(createLogger({ level: 'debug', node: 'n:1', thread: 'control', write: (line) => logged.push(JSON.parse(line) as Record<string, unknown>) }), new ManualClock()),
    };
    return new FrontDesk(parts, (message, transfer) => sent.push({ message, transfer }));
  }

  const relay = (manifestScope: string | null, authorization = 'Bearer t') =>
    ({ kind: 'relay', id: 4, method: 'GET', url: 'https://r.example/v2/app/manifests/1', upstreamHost: 'r.example', headers: { authorization }, manifestScope, requestId: 'request-1' }) as const;

  it('passes a relayed answer on, its body moved', async () => {
    const body = answer.kind === 'answer' ? answer.body : assert.fail();
    desk().receive(relay(null));
    await settled();
    assert.deepEqual(relayed, [{ kind: 'relay', method: 'GET', url: 'https://r.example/v2/app/manifests/1', upstreamHost: 'r.example', headers: { authorization: 'Bearer t' } }]);
    assert.deepEqual(sent[0]!.message, { kind: 'answer', id: 4, status: 200, headers: { etag: '"x"' }, body });
    assert.equal(sent[0]!.transfer, body.buffer);
  });

  it('does not take along the pool a small body lies in', async () => {
    answer = { kind: 'answer', status: 200, headers: {}, body: new Uint8Array(new ArrayBuffer(100), 10, 5) };
    desk().receive(relay(null));
    await settled();
    assert.equal(sent[0]!.transfer, undefined);
  });

  it('learns from a manifest who may read its blobs; from nothing else', async () => {
    const at = desk();
    at.receive(relay(null));
    answer = { kind: 'answer', status: 401, headers: {}, body: MANIFEST };
    at.receive(relay(BLOB.scope));
    await settled();
    assert.equal(gate.remembered(BLOB, 'Bearer t'), null);
    answer = { kind: 'answer', status: 200, headers: {}, body: MANIFEST };
    at.receive(relay(BLOB.scope));
    await settled();
    assert.equal(gate.remembered(BLOB, 'Bearer t'), 60_000);
    assert.equal(gate.remembered(BLOB, 'Bearer other'), null);
  });

  it('says why a relay failed', async () => {
    answer = { kind: 'failed', error: { code: 'ORIGIN_TIMEOUT', message: 'late' } };
    desk().receive(relay(null));
    await settled();
    assert.deepEqual(sent[0]!.message, { kind: 'refused', id: 4, error: { code: 'ORIGIN_TIMEOUT', message: 'late' } });
    assert.deepEqual(logged.map(({ level, requestId, msg }) => [level, requestId, msg]), [['debug', 'request-1', 'a client asks the registry'], ['warn', 'request-1', 'a client was refused']]);
  });

  it('answers a page in UTF-8, and an error with its code when the page cannot be made', async () => {
    desk().receive({ kind: 'page', id: 5, path: '/', query: '' });
    desk(async () => Promise.reject(new ShoalError('PATH_UNKNOWN', 'no such page'))).receive({ kind: 'page', id: 6, path: '/x', query: '' });
    await settled();
    const [page, refused] = sent.map(({ message }) => message);
    assert.ok(page?.kind === 'answer');
    assert.equal(new TextDecoder().decode(page.body), 'grüße');
    assert.deepEqual(refused, { kind: 'refused', id: 6, error: { code: 'PATH_UNKNOWN', message: 'no such page', status: 404 } });
  });

  it('hands audit lines on', () => {
    desk().receive({ kind: 'audit', batch: 'line\n', lines: 1 });
    assert.deepEqual(audited, [['line\n', 1]]);
  });
});
