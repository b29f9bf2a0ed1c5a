import assert from 'node:assert/strict';
import { Manifests } from '../../../lib/control/upstream/manifests.ts';
import { ShoalError } from '../../../lib/errors.ts';
import {
  MANIFEST_COPIES_MAX,
  MANIFEST_HOLDERS_MAX,
  MANIFEST_READ_MS,
} from '../../../lib/control/limits.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import type { PeerCallResult } from '../../../lib/workers/peer/call.ts';
import { FakeSpan } from '../fake-span.ts';
import { CHECKSUM, KEY, loaderFixture, settled, OPTIONS, type LoaderFixture } from '../fixture.ts';

const BYTES = new TextEncoder().encode('{"schemaVersion":2}');

describe('control/manifests', () => {
  let at: LoaderFixture;
  let manifests: Manifests;
  let calls: { node: string; path: string; digest: string | null | undefined }[];
  let answers: Map<string, PeerCallResult>;
  let traceparents: (string | undefined)[];

  beforeEach(() => {
    at = loaderFixture();
    [calls, answers, traceparents] = [[], new Map(), []];
    manifests = new Manifests({
      self: 'n:1',
      clock: at.clock,
      arena: at.arena,
      loader: at.loader,
      facts: at.facts,
      call: async (node, path, { digest, traceparent }) => {
        traceparents.push(traceparent);
        calls.push({ node, path, digest });
        return (
          answers.get(node) ?? { kind: 'failed', error: { code: 'PEER_TIMEOUT', message: 'away' } }
        );
      },
    });
  });

  const holders =
    (...nodes: string[]) =>
    async (): Promise<string[]> =>
      nodes;
  const answered = (
    status: number,
    body = BYTES,
    checksum: string | null = CHECKSUM,
  ): PeerCallResult => ({ kind: 'answer', status, body, checksum });

  it('keeps a sent manifest as a blob, whatever happens to the given bytes', async () => {
    const sent = BYTES.slice();
    manifests.keep(KEY, sent, CHECKSUM);
    sent.fill(0);
    await settled();
    assert.deepEqual(await manifests.read(KEY, OPTIONS), BYTES);
    assert.deepEqual(at.fills, [], 'nothing is fetched');
    assert.deepEqual(at.completed, [{ name: `${KEY}/0`, fromDisk: false }]);
    assert.deepEqual(
      [at.facts.totalOf(KEY), at.loader.find(KEY, 0)?.checksum],
      [BYTES.length, CHECKSUM],
    );
  });

  it('keeps nothing twice, nothing empty, and nothing longer than a shard', async () => {
    manifests.keep(KEY, BYTES, CHECKSUM);
    manifests.keep(KEY, BYTES, CHECKSUM);
    manifests.keep(`sha256:${'01'.repeat(32)}`, new Uint8Array(0), CHECKSUM);
    manifests.keep(`sha256:${'02'.repeat(32)}`, new Uint8Array(SHARD_BYTES + 1), CHECKSUM);
    await settled();
    assert.equal(at.residency.usedSlots, 1);
  });

  it("fetches what is not here, by the client's way", async () => {
    const reading = manifests.read(KEY, OPTIONS);
    await settled();
    at.arena.bytes(at.fills[0]!.resident.slot, 0, BYTES.length).set(BYTES);
    await at.deliver(0, BYTES.length);
    assert.deepEqual(await reading, BYTES);
    assert.equal(at.fills[0]!.way, OPTIONS);
    assert.equal(at.loader.find(KEY, 0)!.interests.size, 0, 'it is held no longer');
  });

  it('has none if the fetch fails, takes too long, or brings more than one shard', async () => {
    const failing = manifests.read(KEY, OPTIONS);
    await settled();
    at.fills[0]!.failed(new ShoalError('ORIGIN_REFUSED', 'no', { status: 404 }));
    assert.equal(await failing, null);
    const late = manifests.read(KEY, OPTIONS);
    await settled();
    at.clock.advance(MANIFEST_READ_MS);
    assert.equal(await late, null);
    assert.equal(at.fills[1]!.abandoned, true);
    const long = manifests.read(KEY, OPTIONS);
    await settled();
    at.fills[2]!.done({
      lengthBytes: SHARD_BYTES,
      totalBytes: SHARD_BYTES + 1,
      checksum: CHECKSUM,
    });
    assert.equal(await long, null);
  });

  it('has a span for each node that a traced request asks', async () => {
    answers.set('n:3', answered(200));
    const span = new FakeSpan('manifest');
    assert.deepEqual(await manifests.readWithout(KEY, holders('n:2', 'n:3'), span), BYTES);
    assert.deepEqual(
      span.children.map(({ name, kind, attributes, ended }) => [name, kind, attributes, ended]),
      [
        [
          'peer',
          'client',
          { 'server.address': 'n:2', 'error.type': 'PEER_TIMEOUT' },
          { error: 'away' },
        ],
        [
          'peer',
          'client',
          { 'server.address': 'n:3', 'http.response.status_code': 200 },
          { error: undefined },
        ],
      ],
    );
    assert.deepEqual(traceparents, ['traceparent of peer', 'traceparent of peer']);
  });

  it('asks the nodes that may have it, one at a time, and keeps what one sends', async () => {
    answers.set('n:2', answered(404, BYTES, null)).set('n:4', answered(200));
    assert.deepEqual(await manifests.readWithout(KEY, holders('n:1', 'n:2', 'n:3', 'n:4')), BYTES);
    assert.deepEqual(
      calls.map(({ node, digest }) => [node, digest]),
      [
        ['n:2', KEY],
        ['n:3', KEY],
        ['n:4', KEY],
      ],
    );
    assert.match(calls[0]!.path, new RegExp(`^/rpc/pread/${KEY}/0\\?.*role=parent`));
    await settled();
    assert.deepEqual(await manifests.readWithout(KEY, () => assert.fail('it is here')), BYTES);
  });

  it('copies what another node has, once, and what is not here already', async () => {
    answers.set('n:2', answered(200));
    manifests.copy(KEY, 'n:1');
    manifests.copy(KEY, 'n:2');
    manifests.copy(KEY, 'n:3');
    await settled();
    assert.equal(manifests.has(KEY), true);
    manifests.copy(KEY, 'n:2');
    assert.deepEqual(
      calls.map(({ node }) => node),
      ['n:2'],
    );
    assert.deepEqual(await manifests.read(KEY, OPTIONS), BYTES);
  });

  it('copies so many at once', () => {
    for (let index = 0; index <= MANIFEST_COPIES_MAX; index++)
      manifests.copy(`sha256:${String(index).padStart(64, '0')}`, 'n:2');
    assert.equal(calls.length, MANIFEST_COPIES_MAX);
  });

  it('asks so many and then the swarm', async () => {
    const reading = manifests.readWithout(KEY, holders('n:2', 'n:3', 'n:4', 'n:5', 'n:6'));
    await settled();
    assert.equal(calls.length, MANIFEST_HOLDERS_MAX);
    assert.equal(at.fills[0]!.way.origin, null);
    at.fills[0]!.failed(new ShoalError('ORIGIN_UNREACHABLE', 'down'));
    assert.equal(await reading, null);
  });
});
