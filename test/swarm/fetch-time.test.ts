import assert from 'node:assert/strict';
import { PEER_SILENCE_MS } from '../../lib/limits.ts';
import { FETCH_PATIENCE_MS, REST_LAST_FACTOR, REST_UNKNOWN_MS } from '../../lib/swarm/limits.ts';
import {
  CONTEXT,
  agent,
  asChild,
  data,
  failure,
  overtake,
  pass,
  redirect,
  request,
  rig,
  shardWhere,
} from './fixture.ts';

describe('swarm/fetch: time', () => {
  it('waits for a busy owner and asks it again', () => {
    const made = asChild();
    made.fetch.settle(1, { kind: 'busy', retryMs: 50 });
    assert.equal(made.effects.calls.length, 1);
    pass(made, 100);
    assert.deepEqual(
      [made.effects.last('ask').ask.node, made.effects.last('ask').attempt],
      [made.owner, 2],
    );
  });

  it('leaves a parent that asks for a pause instead of holding the request', () => {
    const { effects, fetch, owner, members } = asChild();
    const parent = members.find(({ node }) => node !== owner && node !== members[0]!.node)!.node;
    fetch.settle(1, redirect([parent]));
    fetch.settle(2, { kind: 'busy', retryMs: 50 });
    const { ask } = effects.last('ask');
    assert.deepEqual([ask.node, ask.exclude], [owner, [parent]]);
  });

  it('leaves an owner that is busy at once within 2 s and some requests', () => {
    const made = asChild();
    const { effects, fetch, owner } = made;
    let attempt = 1;
    let waitedMs = 0;
    for (; waitedMs < 5_000; waitedMs += 25) {
      const last = effects.calls.at(-1)!;
      if (last.call === 'ask' && last.attempt === attempt) {
        if (last.ask.node !== owner) break;
        fetch.settle(attempt++, { kind: 'busy', retryMs: 1 });
      }
      pass(made, 25);
    }
    assert.ok(waitedMs <= 2_000, `left after ${waitedMs} ms`);
    assert.ok(attempt <= 8, `asked ${attempt} times`);
  });

  it('reads the origin within 2 s if the only other node, a root, is busy at once', () => {
    const made = rig(1, 1);
    const { effects } = made;
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    let waitedMs = 0;
    for (let attempt = 1; waitedMs < 5_000; waitedMs += 25) {
      const last = effects.calls.at(-1)!;
      if (last.call === 'origin') break;
      if (last.call === 'ask' && last.attempt === attempt)
        fetch.settle(attempt++, { kind: 'busy', retryMs: 1 });
      pass(made, 25);
    }
    effects.last('origin');
    assert.ok(waitedMs <= 2_000, `the origin was asked after ${waitedMs} ms`);
  });

  it('waits for the last root while it holds requests, as it waits for the origin', () => {
    const made = rig(1, 1);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    for (let waitedMs = 0; waitedMs < FETCH_PATIENCE_MS / 2;) {
      const { ask, attempt } = made.effects.last('ask');
      pass(made, ask.holdMs);
      waitedMs += ask.holdMs;
      if (waitedMs < FETCH_PATIENCE_MS) fetch.settle(attempt, { kind: 'busy', retryMs: 1 });
    }
    assert.equal(made.effects.last('ask').ask.role, 'root');
  });

  it('waits for an owner that held the request before it said "busy"', () => {
    const made = asChild();
    const { effects, fetch, owner } = made;
    for (let attempt = 1; attempt < 4; attempt++) {
      pass(made, effects.last('ask').ask.holdMs);
      fetch.settle(attempt, { kind: 'busy', retryMs: 1 });
      assert.equal(effects.last('ask').ask.node, owner);
    }
  });

  it('asks a silent parent once more from the same byte, then leaves it', () => {
    const { effects, fetch, owner, members } = asChild();
    const parent = members.find(({ node }) => node !== owner && node !== members[0]!.node)!.node;
    fetch.settle(1, redirect([parent]));
    fetch.settle(2, failure('PEER_TIMEOUT', 8192));
    const again = effects.last('ask');
    assert.deepEqual(
      [again.attempt, again.ask.node, again.ask.role, again.ask.fromBytes],
      [3, parent, 'parent', 8192],
    );
    fetch.settle(3, failure('PEER_TIMEOUT', 8192));
    const { ask } = effects.last('ask');
    assert.deepEqual([ask.node, ask.fromBytes, ask.exclude], [owner, 8192, [parent]]);
  });

  it('leaves an owner whose bytes come for seconds without an end', () => {
    const made = asChild();
    const { effects, fetch, owner } = made;
    for (let passedMs = 0; passedMs < REST_UNKNOWN_MS; passedMs += 1_000) {
      assert.equal(effects.calls.filter(({ call }) => call === 'abandon').length, 0);
      effects.received += 8_192;
      pass(made, 1_000);
    }
    effects.received += 8_192;
    pass(made, 1_000);
    assert.equal(effects.calls.at(-1)!.call, 'abandon');
    fetch.settle(1, failure('CANCELLED', effects.received));
    const { ask } = effects.last('ask');
    assert.notEqual(ask.node, owner);
    assert.equal(ask.fromBytes, effects.received, 'what came is kept');
  });

  it('stays with an owner whose bytes are few, as all may wait for a slow origin', () => {
    const made = asChild();
    const { effects } = made;
    for (let passedMs = 0; passedMs < 4 * REST_UNKNOWN_MS; passedMs += 1_000) {
      effects.received += 32 * 1024;
      pass(made, 1_000);
    }
    assert.equal(effects.calls.filter(({ call }) => call === 'abandon').length, 0);
  });

  it('leaves the only root after three times as long, and then reads the origin', () => {
    const made = rig(1, 1);
    made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    for (let passedMs = 0; passedMs < REST_LAST_FACTOR * REST_UNKNOWN_MS; passedMs += 1_000) {
      assert.equal(made.effects.calls.filter(({ call }) => call === 'abandon').length, 0);
      made.effects.received += 8_192;
      pass(made, 1_000);
    }
    made.effects.received += 8_192;
    pass(made, 1_000);
    assert.equal(made.effects.calls.at(-1)!.call, 'abandon');
  });

  it('asks again a parent that itself waits', () => {
    const { effects, fetch, owner, members } = asChild();
    const parent = members.find(({ node }) => node !== owner && node !== members[0]!.node)!.node;
    fetch.settle(1, redirect([parent]));
    for (let attempt = 2; attempt < 20; attempt++) {
      fetch.settle(attempt, { kind: 'busy', retryMs: 1 });
      assert.deepEqual(
        [effects.last('ask').attempt, effects.last('ask').ask.node],
        [attempt + 1, parent],
      );
    }
  });

  it('leaves a parent once later shards have overtaken it and its attempt has ended', () => {
    const made = asChild();
    const { effects, fetch, owner, members } = made;
    const parent = members.find(({ node }) => node !== owner && node !== members[0]!.node)!.node;
    fetch.settle(1, redirect([parent]));
    effects.received = 4096;
    pass(made, 1000);
    assert.equal(effects.last('ask').attempt, 2, 'nothing else has come either');
    overtake(made);
    assert.deepEqual(
      effects.calls.filter(({ call }) => call === 'abandon'),
      [{ call: 'abandon', attempt: 2 }],
    );
    const calls = effects.calls.length;
    pass(made, 500);
    assert.equal(effects.calls.length, calls, 'nothing new before the old one has ended');
    fetch.settle(2, failure('CANCELLED', 8192));
    const { ask } = effects.last('ask');
    assert.deepEqual([ask.node, ask.fromBytes, ask.exclude], [owner, 8192, [parent]]);
  });

  it('lets the owner name another parent after a late one, as the owner may wait itself', () => {
    const made = asChild();
    const { fetch, owner, members, effects } = made;
    const [first, second] = members
      .filter(({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node)
      .map(({ node }) => node);
    fetch.settle(1, redirect([first!]));
    overtake(made);
    pass(made, 2500);
    fetch.settle(2, failure('CANCELLED', 0));
    assert.equal(effects.last('ask').ask.node, owner);
    fetch.settle(3, redirect([second!]));
    const { ask } = effects.last('ask');
    assert.deepEqual([ask.node, ask.role], [second, 'parent']);
  });

  it('asks the only root again after one silence, but not after a refused connection', () => {
    const made = rig(1, 1);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    fetch.settle(1, failure('PEER_TIMEOUT'));
    const { node, holdMs, silenceMs } = made.effects.last('ask').ask;
    assert.equal(node, made.members[1]!.node);
    assert.ok(2 * (holdMs + silenceMs) < PEER_SILENCE_MS, 'both silences together');
    fetch.settle(2, failure('PEER_TIMEOUT'));
    assert.equal(made.effects.last('origin').ask.fromBytes, 0);
    const other = made.swarm.want({ key: 'k', index: 1 }, CONTEXT);
    assert.equal(
      made.effects.last('origin').attempt,
      1,
      'the next shard does not lose the time again',
    );
    void other;
    const dead = rig(1, 1);
    dead.swarm.want({ key: 'k', index: 0 }, CONTEXT).settle(1, failure('PEER_UNREACHABLE'));
    assert.equal(dead.effects.last('origin').attempt, 2);
  });

  it('asks the next root after one silence', () => {
    const made = rig(1, 2);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    const [first, second] = made.swarm.membership.roots.top(fetch.shard);
    assert.equal(made.effects.last('ask').ask.node, first);
    fetch.settle(1, failure('PEER_TIMEOUT'));
    assert.equal(made.effects.last('ask').ask.node, second);
  });

  it('returns to a late owner if the roots are gone, as only the owner reads the origin', () => {
    const made = rig(8, 1);
    const shard = shardWhere(made.swarm, (rank) => rank[1] === made.members[0]!.node);
    const [owner] = made.swarm.membership.owners.top(shard);
    const fetch = made.swarm.want(
      shard,
      CONTEXT,
      request(shard, made.members[7]!.node, { exclude: [owner!] }),
    );
    assert.equal(
      made.effects.last('ask').ask.role,
      'root',
      'a child says that the owner is late, and that costs the root a shard only',
    );
    fetch.settle(1, failure('PEER_UNREACHABLE'));
    assert.deepEqual(
      [made.effects.last('ask').ask.node, made.effects.last('ask').ask.role],
      [owner, 'owner'],
    );
    fetch.settle(2, failure('PEER_UNREACHABLE'));
    assert.equal(made.effects.last('origin').attempt, 3, 'an owner that is dead is another matter');
  });

  it('never leaves the only root for being slow', () => {
    const made = rig(1, 1);
    made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    pass(made, 5000);
    assert.deepEqual(
      made.effects.calls.map(({ call }) => call),
      ['ask'],
    );
  });

  it('reads the origin for its own client if no node sends a byte, and fails for others', () => {
    const own = rig(1, 1);
    const mine = own.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    pass(own, FETCH_PATIENCE_MS + 100);
    mine.settle(own.effects.last('abandon').attempt, failure('CANCELLED'));
    own.effects.last('origin');

    const others = rig(2, 1);
    const shard = { key: 'k', index: 0 };
    const theirs = others.swarm.want(shard, CONTEXT, request(shard, agent(2).node));
    pass(others, FETCH_PATIENCE_MS + 100);
    theirs.settle(others.effects.last('abandon').attempt, failure('CANCELLED'));
    const { result } = others.effects.last('finished');
    assert.equal(result.kind === 'failed' && result.error.code, 'PEER_TIMEOUT');
  });

  it('asks no other node again once it has turned to the origin', () => {
    const made = rig(1, 1);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    fetch.offer({ id: 'newer' });
    pass(made, FETCH_PATIENCE_MS + 100);
    fetch.settle(made.effects.last('abandon').attempt, failure('CANCELLED'));
    const refusal = failure('ORIGIN_REFUSED', 0, { status: 401 });
    fetch.settle(made.effects.last('origin').attempt, refusal);
    fetch.settle(made.effects.last('origin').attempt, refusal);
    assert.equal(made.effects.last('finished').result.kind, 'refused');
  });

  it('asks a root itself when its owner brings nothing for half of its patience', () => {
    const made = rig(3, 1);
    const fetch = made.swarm.want(
      shardWhere(made.swarm, (rank) => rank[0] === agent(2).node),
      CONTEXT,
    );
    assert.equal(made.effects.last('ask').ask.role, 'owner');
    pass(made, FETCH_PATIENCE_MS / 2 + 100);
    fetch.settle(made.effects.last('abandon').attempt, failure('CANCELLED'));
    assert.equal(made.effects.last('ask').ask.role, 'root');
  });

  it('starts a new fetch for a shard whose fetch was cancelled', () => {
    const { swarm, effects, fetch } = asChild();
    swarm.cancel(fetch.shard);
    const { attempt } = effects.last('abandon');
    const next = swarm.want(fetch.shard, CONTEXT, undefined, 'place');
    assert.notEqual(next, fetch);
    assert.equal(next.place, 'place');
    fetch.settle(attempt, failure('CANCELLED'));
    assert.equal(effects.last('finished').result.kind, 'cancelled');
    assert.equal(swarm.want(fetch.shard, CONTEXT), next);
  });

  it('ends after its last attempt if cancelled, and reports that once', () => {
    const { effects, fetch, swarm } = asChild();
    swarm.cancel(fetch.shard);
    swarm.cancel(fetch.shard);
    assert.deepEqual(
      effects.calls.map(({ call }) => call),
      ['ask', 'abandon'],
    );
    fetch.settle(1, data('aa', 'aa'));
    fetch.settle(1, data('aa', 'aa'));
    assert.deepEqual(
      effects.calls.map(({ call }) => call),
      ['ask', 'abandon', 'finished'],
    );
    assert.equal(effects.last('finished').result.kind, 'cancelled');
  });
});
