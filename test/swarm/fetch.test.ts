import assert from 'node:assert/strict';
import { FETCH_PATIENCE_MS, ORIGIN_TRIES_MAX, OVERTAKERS_MIN } from '../../lib/swarm/limits.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { ORIGIN_HEAD_TIMEOUT_MS, ORIGIN_SILENCE_MS } from '../../lib/origin/limits.ts';
import {
  CONTEXT,
  data,
  failure,
  KEY,
  pass,
  request,
  rig,
  type Rig,
  shardWhere,
} from './fixture.ts';

/** A rig with a shard that another agent owns, that agent, and a fetch of it begun. */
function asChild(
  agents = 8,
  roots = 1,
): Rig & { owner: string; fetch: ReturnType<Rig['swarm']['want']> } {
  const made = rig(agents, roots);
  const shard = shardWhere(
    made.swarm,
    (rank) => rank[0] !== made.members[0]!.node && rank[1] !== made.members[0]!.node,
  );
  const owner = made.swarm.owner(shard);
  return { ...made, owner, fetch: made.swarm.want(shard, CONTEXT) };
}

/** Shards begun later come whole, one every 20 ms. */
function overtake(made: Rig): void {
  for (let index = 500; index < 500 + 2 * OVERTAKERS_MIN; index++) {
    pass(made, 20);
    made.swarm.want({ key: KEY, index }, CONTEXT).settle(1, data('aa', 'aa'));
  }
}

describe('swarm/fetch: the way of a shard', () => {
  it('asks the owner, follows its redirect, asks it for the checksum and reports', () => {
    const { effects, fetch, owner, members, swarm } = asChild();
    assert.deepEqual(
      { ...effects.last('ask').ask },
      {
        node: owner,
        role: 'owner',
        fromBytes: 0,
        exclude: [],
        hops: 0,
        load: 0,
        shardMs: null,
        holdMs: 1000,
        trusted: true,
        context: CONTEXT,
      },
    );
    const parent = members.find(
      ({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node,
    )!.node;
    fetch.settle(1, { kind: 'redirect', parents: [parent], checksum: null, totalBytes: null });
    const second = effects.last('ask');
    assert.deepEqual(
      [second.ask.node, second.ask.role, second.ask.trusted, second.ask.context],
      [parent, 'parent', false, null],
    );
    fetch.settle(second.attempt, data('aa', 'a checksum that a parent may not set'));
    assert.deepEqual(effects.last('stat').ask, { node: owner, parent, report: 'done' });
    fetch.settleStat(effects.last('stat').attempt, {
      kind: 'stat',
      totalBytes: 100 * SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      checksum: 'aa',
    });
    assert.deepEqual(effects.last('finished').result, {
      kind: 'done',
      totalBytes: 100 * SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      checksum: 'aa',
      from: 'peer',
    });
    assert.equal(swarm.fetching(fetch.shard), undefined);
  });

  it("takes the checksum from the owner's redirect and sends no stat", () => {
    const { effects, fetch, owner, members } = asChild();
    const parent = members.find(({ node }) => node !== owner && node !== members[0]!.node)!.node;
    fetch.settle(1, { kind: 'redirect', parents: [parent], checksum: 'aa', totalBytes: null });
    fetch.settle(2, data('aa', null));
    assert.equal(effects.last('finished').result.kind, 'done');
  });

  it('resumes at the same byte from somebody else, excluding who broke off', () => {
    const made = asChild();
    const { effects, fetch, owner, members, swarm } = made;
    const [first, second] = members
      .filter(({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node)
      .map(({ node }) => node);
    fetch.settle(1, { kind: 'redirect', parents: [first!], checksum: null, totalBytes: null });
    fetch.settle(2, failure('PEER_BROKEN', 700_000));
    const again = effects.last('ask').ask;
    assert.deepEqual(
      [again.node, again.role, again.fromBytes, again.exclude, again.trusted],
      [owner, 'owner', 700_000, [first], false],
    );
    assert.equal(swarm.peers().find(({ node }) => node === first)!.condition, 'cooling');
    fetch.settle(3, {
      kind: 'redirect',
      parents: [first!, second!],
      checksum: null,
      totalBytes: null,
    });
    assert.deepEqual(
      [effects.last('ask').ask.node, effects.last('ask').ask.fromBytes],
      [second, 700_000],
    );
  });

  it('goes to the next in rank when the owner is down, and tells it whom it passed over', () => {
    const { effects, fetch, owner, swarm } = asChild();
    fetch.settle(1, failure('PEER_UNREACHABLE'));
    const rank = swarm.membership.owners.top(fetch.shard);
    assert.deepEqual(
      [effects.last('ask').ask.node, effects.last('ask').ask.role, effects.last('ask').ask.exclude],
      [rank[1], 'owner', [owner]],
    );
    assert.equal(swarm.owner(fetch.shard), rank[1]);
  });

  it("as owner reads from the shard's root, and from the origin only when no root is left", () => {
    const made = rig(4, 2);
    const shard = shardWhere(made.swarm, (rank) => rank[0] === made.members[0]!.node);
    const fetch = made.swarm.want(shard, CONTEXT);
    const [first, second] = made.swarm.membership.roots.top(shard);
    assert.deepEqual(
      [made.effects.last('ask').ask.node, made.effects.last('ask').ask.role],
      [first, 'root'],
    );
    fetch.settle(1, failure('PEER_UNREACHABLE'));
    assert.equal(made.effects.last('ask').ask.node, second);
    fetch.settle(2, { kind: 'miss' });
    assert.deepEqual(made.effects.last('origin').ask, {
      fromBytes: 0,
      alone: false,
      context: CONTEXT,
    });
    fetch.settle(3, data('aa', null));
    assert.deepEqual(made.effects.last('finished').result, {
      kind: 'done',
      totalBytes: 100 * SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      checksum: 'aa',
      from: 'origin',
    });
    assert.equal(made.swarm.factsOf(shard), undefined, 'nobody asked, so nothing is tracked');
  });

  it("compares a root's bytes with the root's checksum", () => {
    const made = rig(1, 1);
    const shard = { key: made.members[0]!.node, index: 0 };
    const fetch = made.swarm.want(shard, CONTEXT);
    fetch.settle(1, data('aa', null));
    assert.deepEqual(made.effects.last('stat').ask.node, made.members[1]!.node);
    fetch.settleStat(2, {
      kind: 'stat',
      totalBytes: SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      checksum: 'bb',
    });
    assert.equal(made.effects.last('ask').ask.fromBytes, 0);
  });

  it('does not vouch for a prefix of others when it ends at the origin', () => {
    const made = rig(2, 0);
    const shard = shardWhere(made.swarm, (rank) => rank[0] !== made.members[0]!.node);
    const fetch = made.swarm.want(shard, CONTEXT);
    fetch.settle(1, failure('PEER_BROKEN', 300_000));
    assert.deepEqual(made.effects.last('origin').ask, {
      fromBytes: 0,
      alone: false,
      context: CONTEXT,
    });
    made.swarm.setMembers(made.members);
    fetch.settle(2, failure('ORIGIN_BROKEN', 500_000));
    pass(made, 1000);
    assert.equal(
      made.effects.last('origin').ask.fromBytes,
      500_000,
      'what the origin itself sent is kept',
    );
  });
});

describe('swarm/fetch: lies', () => {
  it('keeps the trusted part, quarantines a lone liar at the second lie, and tells the owner', () => {
    const { effects, fetch, owner, members, swarm, events } = asChild();
    const liar = members.find(
      ({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node,
    )!.node;
    fetch.settle(1, failure('PEER_BROKEN', 100_000));
    const second = effects.last('ask');
    fetch.settle(second.attempt, {
      kind: 'redirect',
      parents: [liar],
      checksum: 'right',
      totalBytes: null,
    });
    fetch.settle(effects.last('ask').attempt, data('wrong', null));
    assert.deepEqual(effects.last('stat').ask, {
      node: second.ask.node,
      parent: liar,
      report: 'lied',
    });
    assert.equal(swarm.peers().find(({ node }) => node === liar)!.condition, 'cooling');
    fetch.settleStat(effects.last('stat').attempt, { kind: 'busy', retryMs: 5 });
    assert.deepEqual(
      [effects.last('ask').ask.fromBytes, effects.last('ask').ask.exclude.includes(liar)],
      [100_000, true],
    );

    const other = swarm.want({ key: fetch.shard.key, index: fetch.shard.index + 1 }, CONTEXT);
    const asked = effects.last('ask');
    if (asked.ask.role === 'owner') {
      other.settle(asked.attempt, {
        kind: 'redirect',
        parents: [liar],
        checksum: 'right',
        totalBytes: null,
      });
      other.settle(effects.last('ask').attempt, data('wrong', null));
      assert.equal(swarm.peers().find(({ node }) => node === liar)!.condition, 'quarantined');
      assert.ok(events.some(([event, node]) => event === 'lied' && node === liar));
    }
  });

  it("takes a parent that lies about the blob's size for a liar: the checksum of a shard says nothing of it", () => {
    for (const checksum of [null, 'aa']) {
      const { effects, fetch, owner, members } = asChild();
      const liar = members.find(
        ({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node,
      )!.node;
      fetch.settle(1, {
        kind: 'redirect',
        parents: [liar],
        checksum,
        totalBytes: checksum === null ? null : 100 * SHARD_BYTES,
      });
      fetch.settle(2, {
        kind: 'data',
        totalBytes: 99 * SHARD_BYTES,
        lengthBytes: SHARD_BYTES,
        claimedChecksum: 'aa',
        checksum: 'aa',
      });
      if (checksum === null)
        fetch.settleStat(effects.last('stat').attempt, {
          kind: 'stat',
          totalBytes: 100 * SHARD_BYTES,
          lengthBytes: SHARD_BYTES,
          checksum: 'aa',
        });
      assert.deepEqual(effects.last('stat').ask, { node: owner, parent: liar, report: 'lied' });
    }
  });

  it('passes over an owner whose own bytes are not what it vouches for', () => {
    const { effects, fetch, owner, swarm } = asChild();
    fetch.settle(1, data('aa', 'bb'));
    const next = effects.last('ask').ask;
    assert.notEqual(next.node, owner);
    assert.deepEqual(
      [next.role, next.fromBytes, next.node],
      ['owner', 0, swarm.membership.owners.top(fetch.shard)[1]],
    );
  });

  it('gives up with CHECKSUM_MISMATCH when nobody sends the right bytes', () => {
    const { effects, fetch } = asChild(12);
    for (let round = 0; round < 20; round++) {
      const last = effects.calls.at(-1)!;
      if (last.call === 'ask') fetch.settle(last.attempt, data('aa', 'bb'));
      else if (last.call === 'abandon') fetch.settle(last.attempt, failure('CANCELLED'));
      else break;
    }
    const { result } = effects.last('finished');
    assert.equal(result.kind === 'failed' && result.error.code, 'CHECKSUM_MISMATCH');
  });

  it('does not follow redirects for ever', () => {
    const { effects, fetch, owner, members } = asChild();
    const names = members
      .filter(({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node)
      .map(({ node }) => node);
    let asks = 0;
    while (effects.last('ask').ask.node === owner || effects.last('ask').ask.role === 'parent') {
      const { attempt } = effects.last('ask');
      fetch.settle(attempt, {
        kind: 'redirect',
        parents: [names[asks++ % names.length]!],
        checksum: null,
        totalBytes: null,
      });
      assert.ok(asks < 50, 'it goes on and on');
    }
    assert.equal(effects.last('ask').ask.role, 'owner');
  });

  it('is never redirected to itself or to a stranger', () => {
    const { effects, fetch, owner, members, swarm } = asChild();
    fetch.settle(1, {
      kind: 'redirect',
      parents: [members[0]!.node, '10.66.6.6:65002'],
      checksum: null,
      totalBytes: null,
    });
    assert.equal(effects.last('ask').ask.node, swarm.membership.owners.top(fetch.shard)[1]);
    assert.equal(swarm.peers().find(({ node }) => node === owner)!.condition, 'cooling');
  });
});

describe('swarm/fetch: the origin', () => {
  it('passes a final refusal on as it stands', () => {
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
    assert.deepEqual(made.effects.last('finished').result, { kind: 'refused', error });
  });

  it('takes a refusal for the credential that was used, not for one that was offered meanwhile', () => {
    const made = rig(1, 0);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    const first = made.effects.last('origin');
    fetch.offer({ id: 'a good one' });
    fetch.settle(first.attempt, {
      kind: 'refused',
      error: { code: 'ORIGIN_REFUSED', message: 'no', status: 401 },
    });
    const second = made.effects.last('origin');
    assert.deepEqual([first.ask.context.id, second.ask.context.id], [CONTEXT.id, 'a good one']);
    fetch.settle(second.attempt, data('aa', null));
    assert.equal(made.effects.last('finished').result.kind, 'done');
  });

  it('tries another credential before it passes a refusal on, the newest first', () => {
    const made = rig(1, 0);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    fetch.offer({ id: 'newer' });
    fetch.offer({ id: 'newest' });
    // The first is under way already when the others come.
    for (const id of [CONTEXT.id, 'newest']) {
      assert.equal(made.effects.last('origin').ask.context.id, id);
      fetch.settle(
        made.effects.last('origin').attempt,
        failure('ORIGIN_REFUSED', 0, { status: 403 }),
      );
    }
    assert.equal(made.effects.last('origin').ask.context.id, 'newer');
    fetch.settle(made.effects.last('origin').attempt, data('aa', null));
    assert.equal(made.effects.last('finished').result.kind, 'done');
  });

  it('tries again with backoff, resuming, and no more often than the budget says', () => {
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

  it('respects Retry-After, and gives up at once when that is too long', () => {
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

  it('asks again one that fell silent, but not when another such silence would outlast its client', () => {
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

  it("does not send everybody to the origin when the owner's way there fails", () => {
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

describe('swarm/fetch: what others say of the origin', () => {
  const told = {
    kind: 'refused',
    error: { code: 'ORIGIN_REFUSED', message: 'no', status: 401, headers: { 'x-evil': '1' } },
  } as const;

  it('asks the origin itself when an owner says that it refused, and believes only that', () => {
    const { effects, fetch } = asChild(8, 1);
    fetch.settle(effects.last('ask').attempt, told);
    assert.equal(effects.calls.at(-1)!.call, 'origin');
    fetch.settle(effects.last('origin').attempt, data('aa', null));
    assert.equal(effects.last('finished').result.kind, 'done');
  });

  it('ends without a status for a client when it has no way to the origin', () => {
    const made = rig(3, 1);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, null);
    for (let asks = 0; asks < 8 && made.effects.calls.at(-1)!.call === 'ask'; asks++)
      fetch.settle(made.effects.last('ask').attempt, told);
    assert.equal(made.effects.last('finished').result.kind, 'failed');
  });
});

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

  it('asks a parent that fell silent once more from the same byte, then leaves it', () => {
    const { effects, fetch, owner, members } = asChild();
    const parent = members.find(({ node }) => node !== owner && node !== members[0]!.node)!.node;
    fetch.settle(1, { kind: 'redirect', parents: [parent], checksum: null, totalBytes: null });
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

  it('asks a parent again that waits for its own', () => {
    const { effects, fetch, owner, members } = asChild();
    const parent = members.find(({ node }) => node !== owner && node !== members[0]!.node)!.node;
    fetch.settle(1, { kind: 'redirect', parents: [parent], checksum: null, totalBytes: null });
    for (let attempt = 2; attempt < 20; attempt++) {
      fetch.settle(attempt, { kind: 'busy', retryMs: 1 });
      assert.deepEqual(
        [effects.last('ask').attempt, effects.last('ask').ask.node],
        [attempt + 1, parent],
      );
    }
  });

  it('leaves a parent that later shards have overtaken, once its attempt has ended', () => {
    const made = asChild();
    const { effects, fetch, owner, members } = made;
    const parent = members.find(({ node }) => node !== owner && node !== members[0]!.node)!.node;
    fetch.settle(1, { kind: 'redirect', parents: [parent], checksum: null, totalBytes: null });
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

  it('passes over an owner that has not got a late shard itself', () => {
    const made = asChild();
    const { fetch, owner, members, swarm, effects } = made;
    const parents = members
      .filter(({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node)
      .map(({ node }) => node);
    fetch.settle(1, { kind: 'redirect', parents: [parents[0]!], checksum: null, totalBytes: null });
    overtake(made);
    pass(made, 2500);
    fetch.settle(2, failure('CANCELLED', 0));
    fetch.settle(3, { kind: 'redirect', parents: [parents[1]!], checksum: null, totalBytes: null });
    assert.deepEqual(
      [effects.last('ask').ask.node, effects.last('ask').ask.role],
      [swarm.membership.owners.top(fetch.shard)[1], 'owner'],
    );
  });

  it('asks the only root again when it was silent once, and goes past it the second time; refused it goes at once', () => {
    const made = rig(1, 1);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    fetch.settle(1, failure('PEER_TIMEOUT'));
    assert.equal(made.effects.last('ask').ask.node, made.members[1]!.node);
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

  it('goes to the next root at the first silence', () => {
    const made = rig(1, 2);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    const [first, second] = made.swarm.membership.roots.top(fetch.shard);
    assert.equal(made.effects.last('ask').ask.node, first);
    fetch.settle(1, failure('PEER_TIMEOUT'));
    assert.equal(made.effects.last('ask').ask.node, second);
  });

  it('returns to an owner it left for being late when the roots are gone: only the owner goes to the origin', () => {
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

  it('gives up when no byte comes from anybody, before its client does', () => {
    const made = rig(1, 1);
    const fetch = made.swarm.want({ key: 'k', index: 0 }, CONTEXT);
    pass(made, FETCH_PATIENCE_MS + 100);
    fetch.settle(made.effects.last('abandon').attempt, failure('CANCELLED'));
    const { result } = made.effects.last('finished');
    assert.equal(result.kind === 'failed' && result.error.code, 'PEER_TIMEOUT');
  });

  it("when cancelled is not what the shard's next asker gets: that is a fetch of its own, which the first one's end leaves alone", () => {
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

  it('when cancelled ends only once its attempt has, and tells it once', () => {
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

describe('swarm/fetch: as the next in rank', () => {
  it("takes over at once where there are roots, when asked in the owner's place", () => {
    const made = rig(6, 1);
    const self = made.members[0]!.node;
    const shard = shardWhere(made.swarm, (rank) => rank[1] === self);
    const owner = made.swarm.owner(shard);
    const fetch = made.swarm.want(shard, CONTEXT);
    assert.equal(made.effects.last('ask').ask.node, owner);
    made.swarm.want(shard, null, request(shard, made.members[2]!.node, { exclude: [owner] }));
    fetch.settle(made.effects.last('abandon').attempt, failure('CANCELLED'));
    assert.equal(made.effects.last('ask').ask.role, 'root');
  });

  it('without roots takes over only when several nodes agree', () => {
    const made = rig(8, 0);
    const self = made.members[0]!.node;
    const shard = shardWhere(made.swarm, (rank) => rank[1] === self);
    const owner = made.swarm.owner(shard);
    const others = made.members
      .map(({ node }) => node)
      .filter((node) => node !== self && node !== owner);
    const fetch = made.swarm.want(shard, CONTEXT);
    for (const node of [others[0]!, others[0]!, others[1]!])
      made.swarm.want(shard, null, request(shard, node, { exclude: [owner] }));
    assert.deepEqual(
      made.effects.calls.map(({ call }) => call),
      ['ask'],
    );
    made.swarm.want(shard, null, request(shard, others[2]!, { exclude: [owner] }));
    fetch.settle(made.effects.last('abandon').attempt, failure('CANCELLED'));
    assert.equal(made.effects.calls.at(-1)!.call, 'origin');
  });
});
