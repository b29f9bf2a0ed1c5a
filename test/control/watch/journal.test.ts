import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { FrontJournal, Journal } from '../../../lib/control/watch/journal.ts';
import { TROUBLE_LINES_PER_SECOND_MAX } from '../../../lib/control/limits.ts';
import { createLogger, type LogLevel } from '../../../lib/telemetry/logger.ts';
import type { OpenRequest } from '../../../lib/workers/messages.ts';
import { KEY } from '../fixture.ts';
import { BLOB } from '../serve/stream-fixture.ts';

const OPEN: OpenRequest = {
  kind: 'open',
  id: 1,
  blob: { ...BLOB, url: `${BLOB.url}?Signature=s3cr3t` },
  authorization: 'Bearer s3cr3t',
  shard: 0,
  sliceBytes: 0,
  untilShard: null,
  sequential: true,
  small: false,
  requestId: 'request-1',
};
const SHARD = { key: KEY, index: 7 };

describe('control/journal', () => {
  let clock: ManualClock;
  let lines: Record<string, unknown>[];

  function journal(level: LogLevel = 'debug'): Journal {
    clock = new ManualClock();
    lines = [];
    return new Journal(
      createLogger({
        level,
        node: 'n:1',
        thread: 'control',
        write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>),
      }),
      clock,
    );
  }

  it("follows a client's read by its request id, without what proved its right", () => {
    const front = new FrontJournal(journal());
    front.heard(OPEN);
    clock.advance(1200);
    front.heard({ kind: 'close', id: 1, whole: true, sentBytes: 900 });
    front.heard({ kind: 'close', id: 1, whole: true, sentBytes: 900 });
    assert.deepEqual(
      lines.map(({ requestId, blob, url, msg, ms, bytes, whole }) => ({
        requestId,
        blob,
        url,
        msg,
        ms,
        bytes,
        whole,
      })),
      [
        {
          requestId: 'request-1',
          blob: KEY,
          url: BLOB.url,
          msg: 'a client reads a blob',
          ms: undefined,
          bytes: undefined,
          whole: undefined,
        },
        {
          requestId: 'request-1',
          blob: KEY,
          url: BLOB.url,
          msg: "a client's request is over",
          ms: 1200,
          bytes: 900,
          whole: true,
        },
      ],
    );
    assert.doesNotMatch(JSON.stringify(lines), /s3cr3t/);
  });

  it("follows another node's read, and what this node asks of others for it", () => {
    const at = journal();
    const front = new FrontJournal(at);
    front.heard({
      kind: 'ask',
      id: 2,
      query: {
        key: KEY,
        shard: 7,
        fromBytes: 0,
        node: 'c:1',
        zone: null,
        role: 'parent',
        exclude: [],
        hops: 1,
        load: 0,
        holdMs: 1000,
      },
      origin: {
        url: 'https://r.example/x',
        upstreamHost: 'r.example',
        authorization: 'Bearer s3cr3t',
      },
      requestId: 'request-1',
    });
    at.transferred({ requestId: 'request-1' }, SHARD, 'p:1', clock.nowMs() - 30, {
      kind: 'data',
      lengthBytes: 900,
    });
    front.said({ kind: 'refused', id: 2, error: { code: 'PEER_TIMEOUT', message: 'silent' } });
    front.heard({ kind: 'close', id: 2, whole: false, sentBytes: 0 });
    assert.deepEqual(
      lines.map(({ requestId, peer, shard, level }) => [requestId, peer, shard, level]),
      [
        ['request-1', 'c:1', 7, 'debug'],
        ['request-1', 'p:1', 7, 'debug'],
        ['request-1', 'c:1', 7, 'warn'],
        ['request-1', 'c:1', 7, 'debug'],
      ],
    );
    assert.doesNotMatch(JSON.stringify(lines), /s3cr3t/);
  });

  it('writes at debug what is no trouble of the node: refusals, abandoned reads', () => {
    const at = journal('info');
    for (const status of [401, 403, 404])
      at.failed({}, { code: 'ORIGIN_REFUSED', message: 'no', status }, 'refused');
    at.transferred({ requestId: 'request-1' }, SHARD, 'p:1', 0, {
      kind: 'failed',
      error: { code: 'CANCELLED', message: 'nobody waits' },
    });
    assert.deepEqual(lines, []);
    const front = new FrontJournal(at);
    front.heard(OPEN);
    front.said({ kind: 'refused', id: 1, error: { code: 'CANCELLED', message: 'nobody waits' } });
    assert.equal(
      lines.pop()?.['level'],
      'warn',
      'somebody waits who is refused because nobody does',
    );
    at.failed({}, { code: 'ORIGIN_REFUSED', message: 'no', status: 500 }, 'refused');
    at.transferred({ requestId: 'request-1' }, SHARD, null, 0, {
      kind: 'failed',
      error: { code: 'ORIGIN_TIMEOUT', message: 'late' },
    });
    assert.deepEqual(
      lines.map(({ level, msg }) => [level, msg]),
      [
        ['warn', 'refused'],
        ['warn', 'a shard did not come from the origin'],
      ],
    );
  });

  it('reports that a registry redirects clients to a host not on the allow-list', () => {
    // Only the operator can mend that.
    const front = new FrontJournal(journal('info'));
    front.heard(OPEN);
    front.said({
      kind: 'refused',
      id: 1,
      error: {
        code: 'HOST_NOT_ALLOWED',
        message: 'store.example:443 is not on the allow-list of this node',
      },
    });
    assert.deepEqual(
      lines.map(({ level, requestId }) => [level, requestId]),
      [['warn', 'request-1']],
    );
    assert.match(JSON.stringify(lines), /store\.example:443/);
    assert.doesNotMatch(JSON.stringify(lines), /s3cr3t/);
  });

  it('bounds the lines a second about trouble, and says how many it left out', () => {
    const at = journal('info');
    for (let i = 0; i < TROUBLE_LINES_PER_SECOND_MAX + 5; i++)
      at.failed({}, { code: 'ORIGIN_TIMEOUT', message: 'late' }, 'refused');
    assert.equal(lines.length, TROUBLE_LINES_PER_SECOND_MAX);
    clock.advance(1000);
    at.failed({}, { code: 'ORIGIN_TIMEOUT', message: 'late' }, 'refused');
    assert.deepEqual(
      lines.map(({ leftOut }) => leftOut).filter((count) => count !== undefined),
      [5],
    );
  });
});
