import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { HttpResponse } from 'uWebSockets.js';
import type { BlobAnswerTools } from '../../lib/front/blob-request.ts';
import { Throttle } from '../../lib/front/throttle.ts';
import { FirstReads } from '../../lib/front/first-reads.ts';
import { WarmMemory, type Grant } from '../../lib/front/warm.ts';
import { readWarm } from '../../lib/front/warm-read.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import type { BlobName } from '../../lib/workers/messages.ts';
import { frontFixture, type FrontFixture } from './fixture.ts';

const NAME = {
  key: 'k',
  pathname: '/https://h/b',
  digest: `sha256:${'ab'.repeat(32)}`,
} as BlobName;
const REQUEST = { host: 'h', rawPath: '/b', query: '', authorization: '' };
const [FIRST, SECOND] = [randomBytes(SHARD_BYTES), randomBytes(SHARD_BYTES)];
const TOTAL_BYTES = 2 * SHARD_BYTES;

/** A response whose socket takes so many bytes at each call, and what has been put on it. */
class Wire {
  status = '';
  body = Buffer.alloc(0);
  totalBytes = 0;
  onWritable: (() => boolean) | null = null;
  onAborted: (() => void) | null = null;
  readonly #takes: number[];

  constructor(takes: number[]) {
    this.#takes = takes;
  }

  get response(): HttpResponse {
    return {
      writeStatus: (status: string) => (this.status = status),
      tryEnd: (bytes: Uint8Array, totalBytes: number) => {
        const taken = bytes.subarray(0, this.#takes.shift() ?? bytes.length);
        this.body = Buffer.concat([this.body, taken]);
        this.totalBytes = totalBytes;
        return [taken.length === bytes.length, this.body.length === totalBytes];
      },
      getWriteOffset: () => this.body.length,
      onWritable: (handler: () => boolean) => (this.onWritable = handler),
      onAborted: (handler: () => void) => (this.onAborted = handler),
      cork: (write: () => void) => write(),
    } as unknown as HttpResponse;
  }
}

describe('front/warm-read', () => {
  let at: FrontFixture;
  let grant: Grant;
  let reads: [number, number, number][];
  let sent: number;
  let overs: { offsetBytes: number; sentBytes: number; failed: boolean; startMs: number }[];
  let watermark: ((slot: number) => number) | null;
  let place: { slot: number; generation: number };

  beforeEach(() => {
    at = frontFixture(3);
    [reads, sent, overs, watermark] = [[], 0, [], null];
    const warm = new WarmMemory();
    warm.grant(REQUEST, NAME, warm.blob('k', TOTAL_BYTES), 1_000);
    grant = warm.find('h', '/b', '', '', 0)!;
    place = at.place(1, FIRST, TOTAL_BYTES);
    grant.blob.places.set(0, place).set(1, at.place(2, SECOND, TOTAL_BYTES));
  });
  afterEach(() => at.close());

  function read(wire: Wire, range: string, throttle: Throttle | null = null): boolean {
    const tools: BlobAnswerTools = {
      arena: at.arena,
      followers: at.followers,
      turn: at.turn,
      link: at.link,
      warm: new WarmMemory(),
      throttle,
      nowMs: () => 99,
      watermark: (slot) => (watermark ?? ((one: number) => at.arena.released(one)))(slot),
      firstReads: new FirstReads(at.arena),
      tally: { add: () => undefined },
      warmRead: ({ name, offsetBytes, bytes, startMs }) => {
        assert.equal(name, NAME);
        reads.push([offsetBytes, bytes, startMs]);
      },
      started: () => undefined,
      firstByte: () => undefined,
      sent: (_tier, bytes) => (sent += bytes),
      over: ({ offsetBytes, sentBytes, failed, startMs }) =>
        overs.push({ offsetBytes, sentBytes, failed, startMs }),
    };
    return readWarm(wire.response, grant, range, 7, tools, () => ({
      name: NAME,
      bodyless: false,
      range,
      ifRange: '',
      ifNoneMatch: '',
      requestId: '',
      traceparent: '',
      warm: REQUEST,
    }));
  }

  it('answers at once, with the whole head, and is counted once', () => {
    const wire = new Wire([]);
    assert.equal(read(wire, `bytes=${SHARD_BYTES + 10}-${SHARD_BYTES + 19}`), true);
    assert.deepEqual(wire.status.split('\r\n'), [
      '206 Partial Content',
      'Content-Type: application/octet-stream',
      'Accept-Ranges: bytes',
      `Docker-Content-Digest: ${NAME.digest}`,
      `ETag: "${NAME.digest}"`,
      `Content-Range: bytes ${SHARD_BYTES + 10}-${SHARD_BYTES + 19}/${TOTAL_BYTES}`,
    ]);
    assert.ok(wire.body.equals(SECOND.subarray(10, 20)));
    assert.deepEqual(
      [reads, sent, overs, wire.onAborted],
      [[[SHARD_BYTES + 10, 10, 7]], 0, [], null],
    );
    assert.equal(at.arena.tryLock(2), true, 'nothing stays pinned');
  });

  it('brings to its end what the socket does not take at once, from the next byte', () => {
    const wire = new Wire([1_000, 500]);
    assert.equal(read(wire, 'bytes=0-9999'), true);
    assert.deepEqual([wire.body.length, sent, reads.length, overs.length], [1_000, 1_000, 0, 0]);
    assert.equal(at.arena.tryLock(1), true, 'nothing stays pinned while it waits');
    at.arena.begin(1);
    const moved = at.place(0, FIRST, TOTAL_BYTES);
    grant.blob.places.set(0, moved);
    wire.onWritable!();
    assert.equal(wire.body.length, 1_500);
    wire.onWritable!();
    assert.ok(wire.body.equals(FIRST.subarray(0, 10_000)));
    assert.deepEqual(
      [sent, reads.length, overs],
      [10_000, 0, [{ offsetBytes: 0, sentBytes: 10_000, failed: false, startMs: 7 }]],
    );
  });

  it('tells that a client left half-way', () => {
    const wire = new Wire([1_000]);
    read(wire, 'bytes=0-9999');
    wire.onAborted!();
    assert.deepEqual(overs, [{ offsetBytes: 0, sentBytes: 1_000, failed: true, startMs: 7 }]);
    wire.onWritable!();
    assert.equal(wire.body.length, 1_000);
  });

  const others: [string, string, () => void][] = [
    ['bytes of two shards', `bytes=${SHARD_BYTES - 1}-${SHARD_BYTES}`, () => undefined],
    ['a range outside', `bytes=${TOTAL_BYTES}-`, () => undefined],
    ['a shard of unknown place', 'bytes=0-9', () => grant.blob.places.delete(0)],
    [
      'a slot that was given to another shard',
      'bytes=0-9',
      () => void at.place(1, SECOND, TOTAL_BYTES),
    ],
    ['a slot that control has locked', 'bytes=0-9', () => assert.ok(at.arena.tryLock(1))],
    ['bytes not vouched for yet', 'bytes=0-9', () => at.arena.setReleased(1, 9)],
  ];
  for (const [what, range, change] of others) {
    it(`leaves alone ${what}, with nothing written`, () => {
      change();
      const wire = new Wire([]);
      assert.equal(read(wire, range), false);
      assert.deepEqual([wire.status, wire.body.length, reads.length], ['', 0, 0]);
    });
  }

  it('holds the pin while it looks and writes: the slot cannot be given away in between', () => {
    const tries: boolean[] = [];
    watermark = (slot) => {
      tries.push(at.arena.tryLock(slot));
      return SHARD_BYTES;
    };
    assert.equal(read(new Wire([]), 'bytes=0-9'), true);
    assert.deepEqual(tries, [false]);
  });

  it("leaves a read without enough tokens to the throttle's queue, and returns them", () => {
    let nowNs = 10n ** 9n;
    const throttle = new Throttle(Throttle.createShared(), 100, () => nowNs);
    assert.equal(
      read(new Wire([]), `bytes=0-${SHARD_BYTES - 1}`, throttle),
      false,
      'more than a step',
    );
    // 20 ms of burst at 100 MB/s are 2 MB, and the line may be ahead by one read: 31 or 32 of them,
    // had the first kept its tokens 30.
    let bytes = 0;
    while (read(new Wire([]), 'bytes=0-65535', throttle)) bytes += 65_536;
    assert.ok(bytes > 2_000_000 && bytes < 2_000_000 + 2 * 65_536, String(bytes));
    nowNs += 2_000_000n;
    assert.equal(read(new Wire([]), 'bytes=0-65535', throttle), true);
  });
});
