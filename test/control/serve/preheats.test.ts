import assert from 'node:assert/strict';
import { parseFetch } from '../../../lib/wire/fetch.ts';
import type { CallOptions } from '../../../lib/control/peers/calls.ts';
import { Preheats, type PreheatParts } from '../../../lib/control/serve/preheats.ts';
import { ShoalError } from '../../../lib/errors.ts';
import type { PeerCallResult } from '../../../lib/workers/peer/call.ts';
import { KEY } from '../fixture.ts';
import { BLOB } from './stream-fixture.ts';

const REQUEST = { node: 'n:2', blob: BLOB, authorization: 'Bearer t', requestId: 'request-1' };

describe('control/preheats', () => {
  let calls: { node: string; path: string; options: CallOptions }[];
  let answers: unknown[];
  const said = (value: unknown, status = 200): PeerCallResult => ({
    kind: 'answer',
    status,
    body: new TextEncoder().encode(JSON.stringify(value)),
    checksum: null,
  });

  beforeEach(() => ([calls, answers] = [[], []]));

  function preheats(parts: Partial<PreheatParts> = {}): Preheats {
    return new Preheats({
      self: 'n:1',
      members: () => [
        { node: 'n:1', role: 'agent', zone: null },
        { node: 'n:2', role: 'agent', zone: 'z' },
      ],
      gate: { remembered: () => 1_000, check: async () => ({ forMs: 1, stale: false }) },
      sizeOf: async () => 4_000,
      holdings: { hold: async () => ({ shards: 1, held: 1, error: null }) },
      call: async (node, path, options) => {
        calls.push({ node, path, options });
        return answers.shift() as PeerCallResult;
      },
      ...parts,
    });
  }

  it('keeps the credential to itself while the swarm is enough', async () => {
    answers = [said({ shards: 2, held: 1, error: null })];
    assert.deepEqual(await preheats().preheat(REQUEST), { shards: 2, held: 1, error: null });
    assert.deepEqual(
      calls.map(({ node, options }) => [node, options.origin]),
      [['n:2', null]],
    );
    const [path, query] = calls[0]!.path.split('?') as [string, string];
    assert.deepEqual(parseFetch(path, query), { key: KEY, totalBytes: 4_000 });
  });

  it('gives it to a node that cannot do without', async () => {
    answers = [
      said({ shards: 2, held: 0, error: new ShoalError('ORIGIN_UNREACHABLE', 'no way').toWire() }),
      said({ shards: 2, held: 2, error: null }),
    ];
    assert.equal((await preheats().preheat(REQUEST)).held, 2);
    assert.deepEqual(
      calls.map(({ options }) => options.origin?.authorization ?? null),
      [null, 'Bearer t'],
    );
  });

  it('not to one that fails otherwise', async () => {
    answers = [said({ shards: 2, held: 0, error: new ShoalError('OVERLOADED', 'full').toWire() })];
    assert.equal((await preheats().preheat(REQUEST)).error?.code, 'OVERLOADED');
    assert.equal(calls.length, 1);
  });

  it('fetches nothing without the right to read, from non-members, or without a size', async () => {
    const refusal = new ShoalError('ORIGIN_REFUSED', 'no', { status: 403 });
    await assert.rejects(
      preheats({ gate: { remembered: () => null, check: () => Promise.reject(refusal) } }).preheat(
        REQUEST,
      ),
      refusal,
    );
    await assert.rejects(preheats().preheat({ ...REQUEST, node: 'n:9' }), { code: 'BAD_REQUEST' });
    await assert.rejects(preheats({ sizeOf: async () => null }).preheat(REQUEST), {
      code: 'BAD_REQUEST',
    });
    assert.equal(calls.length, 0);
  });

  it("does its own part itself, with the client's credential", async () => {
    const held: unknown[] = [];
    await preheats({
      holdings: { hold: async (...of) => (held.push(of), { shards: 1, held: 1, error: null }) },
    }).preheat({ ...REQUEST, node: 'n:1' });
    assert.deepEqual(held, [
      [
        KEY,
        4_000,
        { url: BLOB.url, upstreamHost: BLOB.upstreamHost, authorization: 'Bearer t' },
        'request-1',
        undefined,
      ],
    ]);
  });

  for (const [name, answer] of [
    ['nonsense', said('x')],
    ['negative counts', said({ shards: 1, held: -1, error: null })],
    ['no such request', said({ code: 'BAD_REQUEST', message: 'old' }, 404)],
  ] as const) {
    it(`does not take ${name} for an answer`, async () => {
      answers = [answer];
      await assert.rejects(preheats().preheat(REQUEST), { code: 'PEER_BROKEN' });
    });
  }

  it('reads no other paths than its own', () => {
    for (const [path, query] of [
      ['/rpc/fetch/md5:1', 'total=1'],
      [`/rpc/fetch/${KEY}`, 'total=-1'],
      [`/rpc/fetch/${KEY}`, ''],
      [`/rpc/fetch/${KEY}/1`, 'total=1'],
      [`/rpc/fetch/${KEY}`, `total=${'9'.repeat(20)}`],
    ] as const) {
      assert.equal(parseFetch(path, query), null, path);
    }
  });
});
