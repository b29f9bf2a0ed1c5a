import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { BLOB_IDLE_MS, PULL_IDLE_MS, PULLS_KEPT } from '../../../lib/control/limits.ts';
import { PullLog } from '../../../lib/control/watch/pull-log.ts';
import { emptySummary } from '../../../lib/front/read-tally.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import type {
  BlobName,
  FrontMessage,
  OpenRequest,
  ReadSummary,
} from '../../../lib/workers/messages.ts';

const MiB = 2 ** 20;

function blob(digit: string, repository = 'team/app'): BlobName {
  const key = `sha256:${digit.repeat(64)}`;
  return {
    key,
    url: `https://r.example/v2/${repository}/blobs/${key}`,
    upstreamHost: 'r.example',
    scope: repository,
    pathname: `/${key}`,
    repository,
    digest: key,
  };
}

describe('control/pull-log', () => {
  let clock: ManualClock;
  let lines: { fields: Record<string, unknown>; message: string }[];
  let log: PullLog;
  let id: number;
  beforeEach(() => {
    clock = new ManualClock();
    [lines, id] = [[], 0];
    log = new PullLog(clock, (fields, message) => lines.push({ fields, message }));
  });

  function open(name: BlobName, totalBytes: number, more: Partial<OpenRequest> = {}): number {
    log.heard(1, {
      kind: 'open',
      id: ++id,
      blob: name,
      authorization: 'Bearer one',
      shard: 0,
      sliceBytes: 0,
      untilShard: null,
      sequential: true,
      small: false,
      requestId: `request-${id}`,
      ...more,
    });
    log.said(1, {
      kind: 'opened',
      id,
      shard: 0,
      slot: 0,
      generation: 1,
      totalBytes,
      provenBytes: null,
      cold: true,
      grantMs: 0,
      stale: false,
      turnMs: 0,
    });
    return id;
  }

  function close(stream: number, read: Partial<ReadSummary>): void {
    const summary = { ...emptySummary(), ...read };
    const sentBytes = Object.values(summary.sources).reduce((sum, bytes) => sum + bytes, 0);
    log.heard(1, { kind: 'close', id: stream, whole: true, sentBytes, read: summary });
  }

  function manifest(reference: string, digest: string, body = new Uint8Array()): void {
    const relay: FrontMessage = {
      kind: 'relay',
      id: ++id,
      method: 'GET',
      url: `https://r.example/v2/team/app/manifests/${reference}`,
      upstreamHost: 'r.example',
      headers: { authorization: 'Bearer one' },
      what: 'manifest',
      scope: 'team/app',
      repository: 'team/app',
      reference,
      requestId: 'manifest-1',
    };
    log.heard(1, relay);
    const headers = { 'Docker-Content-Digest': digest };
    log.said(1, { kind: 'answer', id, status: 200, headers, body });
  }

  it('writes a line for each blob and one for the pull, with sources and waits', () => {
    const digest = `sha256:${'f'.repeat(64)}`;
    manifest('v1', digest);
    const first = open(blob('a'), 10 * MiB);
    clock.advance(1_000);
    close(first, {
      sources: { arena: 0, runtime: 0, disk: MiB, peer: 8 * MiB, origin: MiB },
      waitedMs: { access: 20, turn: 300, throttle: 0, disk: 5, peer: 400, origin: 50 },
    });
    clock.advance(1_000);
    close(open(blob('b'), 100), {
      sources: { arena: 100, runtime: 0, disk: 0, peer: 0, origin: 0 },
    });
    assert.deepEqual(
      lines.map(({ message, fields }) => [message, fields['bytes'], fields['image']]),
      [
        ['blob sent', 10 * MiB, 'r.example/team/app:v1'],
        ['blob sent', 100, 'r.example/team/app:v1'],
      ],
    );
    assert.equal(log.list()[0]!.running, true);
    clock.advance(PULL_IDLE_MS + BLOB_IDLE_MS);
    assert.equal(lines.length, 3);
    const [pull, ...rest] = log.list();
    assert.deepEqual(rest, []);
    assert.deepEqual(lines[2], { message: 'pull finished', fields: { ...pull! } });
    assert.deepEqual(
      {
        image: pull!.image,
        digest: pull!.digest,
        bytes: pull!.bytes,
        seconds: pull!.seconds,
        blobs: pull!.blobs,
        running: pull!.running,
        requestId: pull!.requestId,
        sources: pull!.sources,
        waitedMs: pull!.waitedMs,
      },
      {
        image: 'r.example/team/app:v1',
        digest,
        bytes: 10 * MiB + 100,
        seconds: 2,
        blobs: 2,
        running: false,
        requestId: 'manifest-1',
        sources: { memory: 100, disk: MiB, runtime: 0, peer: 8 * MiB, origin: MiB },
        waitedMs: { access: 20, turn: 300, throttle: 0, tracker: 0, peer: 400, origin: 50 },
      },
    );
    clock.advance(60 * 60_000);
    assert.equal(lines.length, 3, 'an idle log does nothing');
  });

  it('names the slowest peer, the wait for trackers, and errors with their number', () => {
    const stream = open(blob('a'), 4 * MiB);
    const requestId = `request-${stream}`;
    log.transferred(requestId, 'n1:1', 30, { kind: 'redirect' });
    log.transferred(requestId, 'n2:1', 1_000, { kind: 'data', lengthBytes: MiB });
    log.transferred(requestId, 'n3:1', 10, { kind: 'data', lengthBytes: MiB });
    for (let times = 0; times < 3; times++)
      log.transferred(requestId, 'n4:1', 2_000, {
        kind: 'failed',
        error: { code: 'PEER_TIMEOUT', message: 'n4:1 sent nothing for 2 s' },
      });
    log.transferred('of somebody else', 'n9:1', 9_000, { kind: 'data', lengthBytes: 1 });
    close(stream, {
      sources: { ...emptySummary().sources, peer: 4 * MiB },
      waitedMs: { ...emptySummary().waitedMs, peer: 500 },
    });
    const [pull] = log.list();
    assert.deepEqual(pull!.slowestPeer, { node: 'n2:1', bytesPerSecond: MiB });
    assert.deepEqual([pull!.waitedMs.tracker, pull!.waitedMs.peer], [30, 470]);
    assert.deepEqual(pull!.errors, [
      { code: 'PEER_TIMEOUT', message: 'n4:1 sent nothing for 2 s', count: 3 },
    ]);
  });

  it('keeps clients and repositories apart, and joins the many reads of one blob', () => {
    for (const authorization of ['Bearer one', 'Bearer two'])
      for (let piece = 0; piece < 4; piece++)
        close(open(blob('a'), 4 * MiB, { authorization, small: true }), {
          sources: { ...emptySummary().sources, peer: MiB / 2 },
        });
    const read = { ...emptySummary(), sources: { ...emptySummary().sources, arena: MiB } };
    const reads = [{ blob: blob('a'), authorization: 'Bearer two', read }];
    log.heard(2, { kind: 'reads', reads });
    close(open(blob('a', 'team/other'), MiB), {
      sources: { ...emptySummary().sources, origin: MiB },
    });
    clock.advance(BLOB_IDLE_MS * 2);
    assert.deepEqual(
      lines.map(({ fields }) => [fields['image'], fields['bytes']]),
      [
        ['r.example/team/other', MiB],
        ['r.example/team/app', 2 * MiB],
        ['r.example/team/app', 3 * MiB],
      ],
    );
    assert.equal(log.list().length, 3);
  });

  it('adds up bytes to clients by registry, for a bounded number of registries', () => {
    for (let i = 0; i < 70; i++) {
      const stream = open({ ...blob('a'), upstreamHost: `r${i}.example` }, 100);
      close(stream, { sources: { arena: 60, runtime: 0, disk: 0, peer: 0, origin: 40 } });
    }
    const all = log.registries.list();
    assert.equal(all.length, 65);
    assert.deepEqual(all[0], { registry: 'r0.example', bytes: 100, savedBytes: 60 });
    assert.deepEqual(all.at(-1), { registry: 'other', bytes: 600, savedBytes: 360 });
  });

  it('tells the size of the image that a manifest names, and how far a running pull is', () => {
    const manifestOf = (value: unknown): void => {
      manifest('v1', `sha256:${'f'.repeat(64)}`, new TextEncoder().encode(JSON.stringify(value)));
    };
    manifestOf({ manifests: [{ size: 7 }] });
    manifestOf({ config: { size: 1_000 }, layers: [{ size: 6 * MiB }, { size: 2 * MiB }] });
    const stream = open(blob('a'), 6 * MiB);
    log.heard(1, { kind: 'want', id: stream, shard: 2, placed: true });
    const [pull] = log.list();
    assert.deepEqual(
      [pull!.imageBytes, pull!.sentBytes, pull!.bytes],
      [8 * MiB + 1_000, 2 * SHARD_BYTES, 0],
    );
    close(stream, { sources: { arena: 0, runtime: 0, disk: 0, peer: 6 * MiB, origin: 0 } });
    assert.equal(log.list()[0]!.sentBytes, 6 * MiB);
  });

  for (const value of ['', 'not json', '[]', 'null', '{"layers":[{"size":-1}]}', '{"layers":"x"}'])
    it(`knows no size by ${value || 'an empty manifest'}`, () => {
      manifest('v1', `sha256:${'f'.repeat(64)}`, new TextEncoder().encode(value));
      open(blob('a'), 10);
      assert.equal(log.list()[0]!.imageBytes, null);
    });

  const ask = (id: number, key: string): FrontMessage =>
    ({ kind: 'ask', id, query: { key } }) as FrontMessage;

  it('says what is read now: by clients with how far they are, and by nodes', () => {
    assert.deepEqual(log.now(), []);
    const stream = open(blob('a'), 10 * SHARD_BYTES);
    log.heard(1, { kind: 'want', id: stream, shard: 3, placed: true });
    log.heard(1, ask(900, blob('a').key));
    log.heard(1, ask(901, blob('b').key));
    assert.deepEqual(log.now(), [
      {
        blob: blob('a').key,
        clients: 1,
        nodes: 1,
        sentBytes: 3 * SHARD_BYTES,
        totalBytes: 10 * SHARD_BYTES,
      },
      { blob: blob('b').key, clients: 0, nodes: 1, sentBytes: 0, totalBytes: null },
    ]);
    for (const ask of [900, 901])
      log.heard(1, { kind: 'close', id: ask, whole: true, sentBytes: 1 });
    close(stream, { sources: { ...emptySummary().sources, peer: 10 * SHARD_BYTES } });
    clock.advance(1_900);
    assert.equal(log.now().length, 1, 'what ended within two seconds still counts');
    clock.advance(200);
    assert.deepEqual(log.now(), []);
  });

  it('keeps the last pulls only', () => {
    for (let pull = 0; pull < PULLS_KEPT + 20; pull++) {
      close(open(blob('a', `team/app${pull}`), 10), {
        sources: { ...emptySummary().sources, origin: 10 },
      });
      clock.advance(PULL_IDLE_MS + BLOB_IDLE_MS);
    }
    assert.equal(log.list().length, PULLS_KEPT);
    assert.equal(log.list()[0]!.image, `r.example/team/app${PULLS_KEPT + 19}`);
  });

  it('makes no pull of a manifest that no blob follows', () => {
    manifest('v1', `sha256:${'f'.repeat(64)}`);
    clock.advance(PULL_IDLE_MS * 2);
    assert.deepEqual([log.list(), lines], [[], []]);
  });
});
