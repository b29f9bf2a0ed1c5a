import assert from 'node:assert/strict';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { CHECKSUM_SHARDS, STUCK_SHARDS, STUCK_UNKNOWN_MS } from '../../lib/swarm/limits.ts';
import {
  asChild,
  CONTEXT,
  data,
  failure,
  KEY,
  pass,
  redirect,
  type Rig,
  type ShardFetch,
} from './fixture.ts';

/** Of the time that a stuck parent is given, by the fixture's random numbers. */
const MEAN_PATIENCE = 1.5;
/** What a shard takes on the line of `measureLine`. */
const SHARD_MS = 400;

/** One and a half shards come for `fetch`: the line is known from then on. */
function measureLine({ clock, effects }: Rig, fetch: ShardFetch): void {
  for (effects.received of [0, 0.5, 1, 1.5].map((shards) => shards * SHARD_BYTES)) {
    clock.advance(SHARD_MS / 2);
    fetch.tick();
  }
}

describe('swarm/fetch: parents and owners that are behind', () => {
  it('leaves a parent that brings nothing, though nothing else comes either', () => {
    const made = asChild();
    const { effects, fetch, owner, parent } = made;
    fetch.settle(1, redirect([parent]));
    pass(made, MEAN_PATIENCE * STUCK_UNKNOWN_MS - 100);
    assert.equal(effects.last('ask').ask.node, parent);
    pass(made, 200);
    fetch.settle(effects.last('abandon').attempt, failure('CANCELLED'));
    const { ask } = effects.last('ask');
    assert.deepEqual([ask.node, ask.exclude], [owner, [parent]]);
  });

  it('leaves it after the time of some shards, but not while the shards before it come', () => {
    const made = asChild();
    const { effects, fetch, parent, swarm } = made;
    fetch.settle(1, redirect([parent]));
    const before = swarm.want({ key: KEY, index: fetch.shard.index - 1 }, CONTEXT);
    measureLine(made, before);
    before.settle(1, data('aa', 'aa'));
    effects.received = 0;
    const abandoned = (): number[] =>
      effects.calls.flatMap((call) => (call.call === 'abandon' ? [call.attempt] : []));
    pass(made, MEAN_PATIENCE * STUCK_SHARDS * SHARD_MS - 100);
    assert.deepEqual(abandoned(), []);
    pass(made, 200);
    assert.deepEqual(abandoned(), [2]);
  });

  it('tells the owner of a parent that is gone, not of one that was only late', () => {
    const left = (leave: (made: ReturnType<typeof asChild>) => void): unknown => {
      const made = asChild();
      const { effects, fetch, owner, parent } = made;
      fetch.settle(1, redirect([parent]));
      leave(made);
      const { ask } = effects.last('ask');
      assert.deepEqual([ask.node, ask.exclude], [owner, [parent]]);
      return ask.parentFailed;
    };
    const late = left((made) => {
      pass(made, MEAN_PATIENCE * STUCK_UNKNOWN_MS + 100);
      made.fetch.settle(made.effects.last('abandon').attempt, failure('CANCELLED'));
    });
    assert.equal(late, undefined);
    const gone = left(({ fetch }) => fetch.settle(2, failure('PEER_UNREACHABLE')));
    assert.equal(gone, true);
    const silent = left(({ fetch }) => fetch.settle(2, failure('PEER_TIMEOUT')));
    assert.equal(silent, undefined);
    const sounded = left((made) => {
      const { effects, fetch } = made;
      pass(made, STUCK_UNKNOWN_MS / 2);
      effects.soundings.at(-1)!.told(false);
      fetch.settle(effects.last('abandon').attempt, failure('CANCELLED'));
    });
    assert.equal(sounded, true);
  });

  it('asks a root for the checksum of a shard that is here before its owner has it', () => {
    const made = asChild();
    const { effects, fetch, owner, parent } = made;
    fetch.settle(1, redirect([parent]));
    measureLine(made, fetch);
    fetch.settle(2, data('aa', null));
    assert.equal(effects.last('stat').ask.node, owner);
    pass(made, CHECKSUM_SHARDS * SHARD_MS - 50);
    assert.equal(effects.last('stat').ask.node, owner);
    pass(made, 100);
    assert.equal(effects.last('stat').ask.node, made.members.at(-1)!.node);
  });
});
