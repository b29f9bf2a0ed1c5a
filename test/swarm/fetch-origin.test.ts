import assert from 'node:assert/strict';
import {
  FETCH_PATIENCE_MS,
  ORIGIN_BROKEN_PATIENCE_MS,
  ORIGIN_TRIES_MAX,
} from '../../lib/swarm/limits.ts';
import { ORIGIN_HEAD_TIMEOUT_MS, ORIGIN_SILENCE_MS } from '../../lib/origin/limits.ts';
import type { FetchResult } from '../../lib/swarm/types.ts';
import {
  CONTEXT,
  agent,
  asChild,
  data,
  failure,
  pass,
  request,
  rig,
  shardWhere,
} from './fixture.ts';

describe('swarm/fetch: the origin', () => {
  it('passes a final refusal on unchanged', () => {
    const made = rig(1, 0);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    const error = {
      code: 'ORIGIN_REFUSED',
      message: 'no',
      status: 401,
      headers: { 'www-authenticate': 'Bearer realm="r"' },
      body: '{}',
    } as const;
    fetch.settle(1, { kind: 'failed', error, receivedBytes: 0 });
    assert.deepEqual(made.effects.last('finished').result, { kind: 'refused', error, of: CONTEXT });
  });

  it('reads anew from another origin at once when one has sent something else', () => {
    const made = rig(1, 0);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    const first = made.effects.last('origin');
    fetch.offer({ id: 'another' });
    fetch.settle(first.attempt, failure('DIGEST_MISMATCH', 4));
    const second = made.effects.last('origin');
    assert.deepEqual([second.ask.origin.id, second.ask.fromBytes], ['another', 0]);
    fetch.settle(second.attempt, failure('ORIGIN_REFUSED', 0, { status: 404 }));
    const { result } = made.effects.last('finished');
    assert.ok(result.kind === 'refused' && result.of?.id === 'another', 'whose error it is');
  });

  it('applies a refusal to the credential that was used, not to one offered since', () => {
    const made = rig(1, 0);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    const first = made.effects.last('origin');
    fetch.offer({ id: 'a good one' });
    fetch.settle(first.attempt, {
      kind: 'refused',
      error: { code: 'ORIGIN_REFUSED', message: 'no', status: 401 },
    });
    const second = made.effects.last('origin');
    assert.deepEqual([first.ask.origin.id, second.ask.origin.id], [CONTEXT.id, 'a good one']);
    fetch.settle(second.attempt, data('aa', null));
    assert.equal(made.effects.last('finished').result.kind, 'done');
  });

  it('tries other credentials, newest first, before it passes a refusal on', () => {
    const made = rig(1, 0);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    fetch.offer({ id: 'newer' });
    fetch.offer({ id: 'newest' });
    // The first is under way already when the others come.
    for (const id of [CONTEXT.id, 'newest']) {
      assert.equal(made.effects.last('origin').ask.origin.id, id);
      fetch.settle(
        made.effects.last('origin').attempt,
        failure('ORIGIN_REFUSED', 0, { status: 403 }),
      );
    }
    assert.equal(made.effects.last('origin').ask.origin.id, 'newer');
    fetch.settle(made.effects.last('origin').attempt, data('aa', null));
    assert.equal(made.effects.last('finished').result.kind, 'done');
  });

  it('tries an origin twice that hangs before it breaks its answers off', () => {
    const made = rig(1, 0);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    for (const tries of [1, 2]) {
      pass(made, ORIGIN_BROKEN_PATIENCE_MS + 1_000);
      fetch.settle(made.effects.last('origin').attempt, failure('ORIGIN_BROKEN', 5));
      if (tries === 1) pass(made, 1_000);
    }
    assert.equal(made.effects.calls.filter(({ call }) => call === 'origin').length, 2);
    const { result } = made.effects.last('finished');
    assert.equal(result.kind === 'failed' && result.error.code, 'ORIGIN_BROKEN');
  });

  it('counts a read as no try that is left to the node that reads the whole object', () => {
    const made = rig(1, 1);
    const fetch = made.swarm.want({ key: 'k', index: 3 }, CONTEXT);
    // Long after a byte should have come: a second failure of the origin would end the fetch.
    pass(made, FETCH_PATIENCE_MS + 100);
    fetch.settle(made.effects.last('abandon').attempt, failure('CANCELLED'));
    const { attempt } = made.effects.last('origin');
    fetch.settle(attempt, {
      ...{ kind: 'failed', error: { code: 'ORIGIN_BROKEN', message: 'whole only' } },
      ...{ receivedBytes: 0, wholeOnly: true },
    });
    assert.equal(fetch.shard.rankedAs, 0);
    fetch.settle(made.effects.last('origin').attempt, data('aa', null));
    assert.equal(made.effects.last('finished').result.kind, 'done');
  });

  it('goes on from the last byte however often the thread of the read ends', () => {
    const made = rig(1, 0);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    const deaths = 3 * ORIGIN_TRIES_MAX;
    for (let death = 1; death <= deaths; death++) {
      fetch.settle(made.effects.last('origin').attempt, failure('THREAD_LOST', death * 10));
      pass(made, 1_000);
      assert.equal(made.effects.last('origin').ask.fromBytes, death * 10);
    }
    fetch.settle(made.effects.last('origin').attempt, data('aa', null));
    assert.equal(made.effects.last('finished').result.kind, 'done');
  });

  it('ends when the threads of its reads end and no byte comes for too long', () => {
    const made = rig(1, 0);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    for (let ms = 0; ms < FETCH_PATIENCE_MS; ms += 1_000) {
      fetch.settle(made.effects.last('origin').attempt, failure('THREAD_LOST', 0));
      pass(made, 1_000);
    }
    const { attempt } = made.effects.last('origin');
    pass(made, 1_000);
    fetch.settle(attempt, failure('THREAD_LOST', 0));
    const { result } = made.effects.last('finished');
    assert.equal(result.kind === 'failed' && result.error.code, 'THREAD_LOST');
  });

  it('retries with backoff from the last byte, within its retry budget', () => {
    const made = rig(1, 0);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    for (let tries = 1; tries < ORIGIN_TRIES_MAX; tries++) {
      fetch.settle(made.effects.last('origin').attempt, failure('ORIGIN_BROKEN', tries * 1000));
      assert.equal(made.effects.calls.filter(({ call }) => call === 'origin').length, tries);
      pass(made, 150);
      assert.equal(
        made.effects.calls.filter(({ call }) => call === 'origin').length,
        tries,
        'no try without a pause',
      );
      pass(made, 3000);
      assert.equal(made.effects.last('origin').ask.fromBytes, tries * 1000);
    }
    fetch.settle(made.effects.last('origin').attempt, failure('ORIGIN_BROKEN', 9000));
    const { result } = made.effects.last('finished');
    assert.equal(result.kind === 'failed' && result.error.code, 'ORIGIN_BROKEN');
  });

  it('obeys Retry-After, and fails at once if it is too long', () => {
    const made = rig(1, 0);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    fetch.settle(1, failure('ORIGIN_BUSY', 0, { status: 503, headers: { 'retry-after': '3' } }));
    pass(made, 2900);
    assert.equal(made.effects.calls.length, 1);
    pass(made, 1500);
    fetch.settle(
      made.effects.last('origin').attempt,
      failure('ORIGIN_BUSY', 0, { status: 429, headers: { 'retry-after': '600' } }),
    );
    const { result } = made.effects.last('finished');
    assert.equal(result.kind === 'failed' && result.error.status, 429);
  });

  it("retries after a silence, unless another one would outlast the client's deadline", () => {
    const made = rig(1, 0);
    const first = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    pass(made, ORIGIN_SILENCE_MS);
    first.settle(1, failure('ORIGIN_TIMEOUT'));
    pass(made, 1_000);
    assert.equal(made.effects.last('origin').attempt, 2);
    const fetch = made.swarm.want({ key: 'k', index: 1 }, CONTEXT);
    pass(made, ORIGIN_HEAD_TIMEOUT_MS);
    fetch.settle(1, failure('ORIGIN_TIMEOUT'));
    const { result } = made.effects.last('finished');
    assert.equal(result.kind === 'failed' && result.error.code, 'ORIGIN_TIMEOUT');
  });

  it('does not go to the origin itself if the owner fails there', () => {
    const { effects, fetch } = asChild(8, 0);
    for (let round = 0; round < 10 && effects.calls.at(-1)!.call === 'ask'; round++) {
      fetch.settle(effects.last('ask').attempt, {
        kind: 'refused',
        error: { code: 'ORIGIN_UNREACHABLE', message: 'down', status: 502 },
      });
    }
    assert.equal(effects.calls.filter(({ call }) => call === 'origin').length, 0);
    const { result } = effects.last('finished');
    assert.equal(result.kind === 'failed' && result.error.code, 'ORIGIN_UNREACHABLE');
  });
});

describe('swarm/fetch: what other nodes report of the origin', () => {
  const told = {
    kind: 'refused',
    error: { code: 'ORIGIN_REFUSED', message: 'no', status: 401, headers: { 'x-evil': '1' } },
  } as const;

  it('asks the origin itself if an owner reports a refusal, and passes on only its own', () => {
    const { effects, fetch } = asChild(8, 1);
    fetch.settle(effects.last('ask').attempt, told);
    assert.equal(effects.calls.at(-1)!.call, 'origin');
    fetch.settle(effects.last('origin').attempt, data('aa', null));
    assert.equal(effects.last('finished').result.kind, 'done');
  });

  it('asks the origin itself if an owner knows none that it may read', () => {
    const owner = rig(3, 0, agent(2));
    const shard = shardWhere(owner.swarm, (rank) => rank[0] === agent(2).node);
    owner.swarm.want(shard, null, request(shard, agent(1).node));
    const { result } = owner.effects.last('finished');
    assert.equal(result.kind, 'failed');
    const { error } = result as Extract<FetchResult, { kind: 'failed' }>;

    const child = rig(3, 0);
    const fetch = child.swarm.want(shard, CONTEXT);
    fetch.settle(child.effects.last('ask').attempt, { kind: 'refused', error });
    child.effects.last('origin');
  });

  it('asks the same owner again with a credential that came after the one refused', () => {
    const { effects, fetch } = asChild(8, 1);
    const first = effects.last('ask');
    fetch.offer({ id: 'newer' });
    fetch.settle(first.attempt, told);
    const second = effects.last('ask');
    assert.deepEqual(
      [second.ask.node, second.ask.origin?.id, effects.calls.at(-1)!.call],
      [first.ask.node, 'newer', 'ask'],
    );
  });

  it('goes back to the owner with another credential when the origin refused the first', () => {
    const { effects, fetch } = asChild(8, 1);
    const first = effects.last('ask');
    fetch.settle(first.attempt, told);
    const own = effects.last('origin');
    fetch.offer({ id: 'newer' });
    fetch.settle(own.attempt, failure('ORIGIN_REFUSED', 0, { status: 401 }));
    const second = effects.last('ask');
    assert.deepEqual(
      [second.ask.node, second.ask.origin?.id, effects.calls.at(-1)!.call],
      [first.ask.node, 'newer', 'ask'],
    );
    fetch.settle(second.attempt, told);
    assert.equal(effects.last('origin').ask.origin.id, 'newer');
    fetch.settle(effects.last('origin').attempt, failure('ORIGIN_REFUSED', 0, { status: 401 }));
    assert.equal(effects.last('finished').result.kind, 'refused');
  });

  it('fails without a status for the client if it has no credential for the origin', () => {
    const made = rig(3, 1);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, null);
    for (let asks = 0; asks < 8 && made.effects.calls.at(-1)!.call === 'ask'; asks++)
      fetch.settle(made.effects.last('ask').attempt, told);
    assert.equal(made.effects.last('finished').result.kind, 'failed');
  });
});
