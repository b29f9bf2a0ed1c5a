import assert from 'node:assert/strict';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { ORIGIN_PROBE_ROUNDS } from '../../lib/swarm/limits.ts';
import { OriginWindow } from '../../lib/swarm/origin-window.ts';

const STREAMS_MAX = 16;

interface Line {
  /** Until the first byte of an answer, and what one shard takes over the whole line, in ms. */
  firstByteMs: number;
  shardMs: number;
  /** What a shard takes over one connection, where each has a limit of its own. */
  connectionShardMs?: number;
  /** Shards in one request. */
  shards?: number;
}

interface Request {
  begunMs: number;
  isComing: boolean;
  shards: number;
  /** What is left of the shard that is coming, in ms of the whole line. */
  leftMs: number;
}

/**
 * Reads `count` shards over a line that its requests share equally. `besideShards`: the longest
 * request that began while another had more than a shard left.
 */
function read(
  window: OriginWindow,
  { firstByteMs, shardMs, connectionShardMs = 0, shards = 1 }: Line,
  count: number,
): { tookMs: number; firstMs: number; most: number; besideShards: number } {
  const stepMs = Math.min(firstByteMs, shardMs) / 20;
  let nowMs = 0;
  let [left, came, firstMs, most, besideShards] = [count, 0, Number.NaN, 0, 0];
  let underWay: Request[] = [];
  while (came < count) {
    if (left > 0 && window.pauseMs(nowMs) === 0 && window.hasRoom(underWay)) {
      const together = Math.min(shards, left, window.requestShards);
      if (underWay.some((request) => request.shards > 1))
        besideShards = Math.max(besideShards, together);
      window.begun(nowMs);
      underWay.push({ begunMs: nowMs, isComing: false, shards: together, leftMs: shardMs });
      left -= together;
    }
    nowMs += stepMs;
    const coming = underWay.filter(({ begunMs }) => begunMs + firstByteMs <= nowMs);
    most = Math.max(most, coming.length);
    const share = Math.min(1 / coming.length, shardMs / connectionShardMs);
    for (const request of coming) {
      if (!request.isComing) window.head(nowMs, nowMs - request.begunMs);
      request.isComing = true;
      request.leftMs -= stepMs * share;
      if (request.leftMs > 0) continue;
      if (came++ === 0) firstMs = nowMs;
      window.arrived(nowMs, SHARD_BYTES, left > 0);
      request.leftMs = shardMs;
      if (--request.shards === 0) window.ended(nowMs, underWay.length === 1);
    }
    underWay = underWay.filter((request) => request.shards > 0);
  }
  return { tookMs: nowMs, firstMs, most, besideShards };
}

describe('swarm/origin-window', () => {
  it('brings the first shard at the speed of a slow line, and keeps the line full', () => {
    for (const shards of [1, 8]) {
      const line = { firstByteMs: 20, shardMs: 1_600, shards };
      const { firstMs, tookMs, most } = read(new OriginWindow(STREAMS_MAX), line, 40);
      assert.ok(firstMs <= 1_625, `the first came after ${firstMs} ms`);
      assert.ok(tookMs <= 1.01 * 40 * 1_600 + 40, `${tookMs} ms`);
      assert.ok(most <= 3, `${most} at once`);
    }
  });

  it('tries more streams with short requests where a shard takes long', () => {
    const slow = { firstByteMs: 20, shardMs: 680, shards: 8 };
    assert.equal(read(new OriginWindow(STREAMS_MAX), slow, 40).besideShards, 1);
    const fast = { firstByteMs: 20, shardMs: 5, shards: 8 };
    assert.equal(read(new OriginWindow(STREAMS_MAX), fast, 200).besideShards, 8);
  });

  it('asks for as much as a fast line with a late first byte sends until then', () => {
    for (const [firstByteMs, shards] of [
      [10, 1],
      [10, 8],
      [20, 8],
    ] as const) {
      const line = { firstByteMs, shardMs: 2, shards };
      const { tookMs } = read(new OriginWindow(STREAMS_MAX), line, 200);
      // Twice to the first byte: once before anything is known.
      assert.ok(tookMs <= 2 * (firstByteMs + 2) + 1.05 * 200 * 2, `${tookMs} ms`);
    }
  });

  it('opens more connections where each has a limit of its own', () => {
    const line = { firstByteMs: 20, shardMs: 5, connectionShardMs: 40 };
    const { tookMs, most } = read(new OriginWindow(STREAMS_MAX), line, 400);
    assert.ok(most >= 8, `${most} at once`);
    assert.ok(tookMs <= 1.25 * 400 * 5, `${tookMs} ms`);
  });

  it('tries again whether more are faster by now', () => {
    const window = new OriginWindow(STREAMS_MAX);
    read(window, { firstByteMs: 20, shardMs: 1_600 }, 20);
    const line = { firstByteMs: 20, shardMs: 5, connectionShardMs: 40 };
    const { most } = read(window, line, 16 * ORIGIN_PROBE_ROUNDS);
    assert.ok(most >= 8, `${most} at once`);
  });

  it('learns nothing of the line from a small blob, and goes on when a shard takes no time', () => {
    const window = new OriginWindow(STREAMS_MAX);
    window.begun(0);
    window.head(50, 50);
    window.arrived(51, 1_000, false);
    window.ended(51, true);
    window.begun(51);
    assert.equal(window.pauseMs(51), 0);
    window.head(51, 0);
    window.arrived(51, SHARD_BYTES, false);
    window.ended(51, true);
    assert.ok(window.hasRoom([{ shards: 1 }]));
    assert.equal(window.pauseMs(51), 0);
  });

  it('goes on at once after a blob shorter than a shard', () => {
    const window = new OriginWindow(STREAMS_MAX);
    window.begun(0);
    window.head(10, 10);
    window.arrived(1_610, SHARD_BYTES, true);
    window.ended(1_610, true);
    window.begun(1_610);
    assert.ok(window.pauseMs(1_621) > 0);
    window.head(1_620, 10);
    window.arrived(1_621, 300, true);
    window.ended(1_621, true);
    assert.equal(window.pauseMs(1_621), 0);
  });

  it('does not begin two requests at once as one of a shard ends', () => {
    const window = new OriginWindow(STREAMS_MAX);
    window.begun(0);
    window.head(10, 10);
    window.arrived(700, SHARD_BYTES, true);
    window.begun(700);
    window.ended(701, false);
    assert.ok(window.pauseMs(701) > 300);
  });

  it('is not misled by an answer that ends without a byte', () => {
    const window = new OriginWindow(STREAMS_MAX);
    for (let at = 0; at < 50; at++) {
      window.begun(at * 100);
      window.head(at * 100 + 50, 50);
      window.ended(at * 100 + 51, true);
    }
    assert.ok(!window.hasRoom([{ shards: 1 }]), 'nothing is known of the line');
    const { firstMs } = read(window, { firstByteMs: 20, shardMs: 1_600 }, 4);
    assert.ok(firstMs <= 1_625, `the first came after ${firstMs} ms`);
  });
});
