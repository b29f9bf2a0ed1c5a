import assert from 'node:assert/strict';
import { HolderDirectory } from '../../lib/swarm/holder-directory.ts';
import {
  DIRECTORY_BLOBS_MAX,
  DIRECTORY_HOLDERS_MAX,
  HOLDERS_NAMED_MAX,
  OFFER_EXPIRES_MS,
  OFFER_KEEPERS,
  OFFER_REFRESH_MS,
} from '../../lib/swarm/limits.ts';
import { OfferBook } from '../../lib/swarm/offer-book.ts';
import { Membership } from '../../lib/swarm/rank.ts';
import { agent, CONTEXT, data, failure, request, rig, shardWhere, type Rig } from './fixture.ts';

const keyOf = (at: number): string => `sha256:${at.toString(16).padStart(64, '0')}`;
const everybody = (): boolean => true;
const CHECKSUM = '5a'.repeat(32);

describe('swarm/offers: who keeps what', () => {
  it('names holders, beginning with any of them, until they were told of too long ago', () => {
    const directory = new HolderDirectory();
    const nodes = Array.from({ length: DIRECTORY_HOLDERS_MAX + 3 }, (_, at) => `n${at}`);
    for (const [at, node] of nodes.entries()) directory.told(node, [keyOf(1)], at);
    const ask = (nowMs: number, random = 0, fits: (node: string) => boolean = everybody) =>
      directory.holders(keyOf(1), nowMs, () => random, fits);
    assert.deepEqual(ask(20), nodes.slice(3, 3 + HOLDERS_NAMED_MAX), 'the newest are kept');
    assert.deepEqual(ask(20, 0.99)[0], nodes.at(-1));
    assert.deepEqual(
      ask(20, 0, (node) => node === 'n5'),
      ['n5'],
    );
    assert.deepEqual(ask(OFFER_EXPIRES_MS + 9), ['n10']);
    directory.told('n3', [keyOf(1)], OFFER_EXPIRES_MS);
    assert.deepEqual(ask(OFFER_EXPIRES_MS + 10), ['n3']);
    assert.deepEqual(directory.holders(keyOf(2), 20, Math.random, everybody), []);
  });

  it('is bounded in blobs; what was told longest ago goes first', () => {
    const directory = new HolderDirectory();
    directory.told('old', [keyOf(0), keyOf(1)], 0);
    directory.told('again', [keyOf(0)], 1);
    for (let at = 2; at <= DIRECTORY_BLOBS_MAX; at++) directory.told('new', [keyOf(at)], 2);
    assert.equal(directory.size, DIRECTORY_BLOBS_MAX);
    const at = (key: string): string[] => directory.holders(key, 3, () => 0, everybody);
    assert.deepEqual([at(keyOf(0)), at(keyOf(1))], [['old', 'again'], []]);
  });

  it('tells each keeper once, after a refresh, and when a node comes or goes only the new', () => {
    const members = Array.from({ length: 50 }, (_, at) => agent(at + 1));
    const keys = Array.from({ length: 400 }, (_, at) => keyOf(at));
    const book = new OfferBook();
    const tell = (swarm: Membership, nowMs: number, offered = keys): number => {
      const due = book.due(offered, (key) => swarm.owners.top({ key, index: 0 }), nowMs);
      for (const [keeper, some] of due) book.told(keeper, some, nowMs);
      return [...due.values()].reduce((sum, { length }) => sum + length, 0);
    };
    const all = new Membership(members);
    assert.equal(tell(all, 0), keys.length * OFFER_KEEPERS);
    assert.equal(tell(all, 1_000), 0);
    const gone = tell(new Membership(members.slice(1)), 2_000);
    assert.ok(gone > 0 && gone < keys.length * 0.1, `${gone} offers because one node has gone`);
    assert.equal(tell(all, OFFER_REFRESH_MS - 1), gone, 'it is back, and has forgotten all');
    assert.ok(tell(all, OFFER_REFRESH_MS) >= keys.length * OFFER_KEEPERS - 2 * gone);
    assert.equal(tell(all, OFFER_REFRESH_MS + 1, []), 0);
    assert.equal(tell(all, OFFER_REFRESH_MS + 2), keys.length * OFFER_KEEPERS, 'offered anew');
  });

  it('offers again what a keeper did not take', () => {
    const book = new OfferBook();
    const due = (): string[] => [...book.due([keyOf(1)], () => ['a', 'b', 'c'], 0).keys()];
    assert.deepEqual(due(), ['a', 'b']);
    book.told('b', [keyOf(1)], 0);
    assert.deepEqual(due(), ['a']);
  });
});

describe('swarm/offers: an owner reads from holders', () => {
  let at: Rig;
  const [FIRST, SECOND] = [agent(2).node, agent(3).node];
  const begin = (roots: number, holders: string[], owner = 1): void => {
    at = rig(4, roots);
    const shard = shardWhere(at.swarm, (rank) => rank[0] === agent(owner).node);
    at.swarm.want(shard, CONTEXT, undefined, null, 'nobody', holders);
  };
  const asked = (): unknown[] =>
    at.effects.calls.map((one) => (one.call === 'ask' ? [one.ask.node, one.ask.role] : one.call));
  const settle = (attempt: number, result: Parameters<Rig['swarm']['ask']>[0] | object): void => {
    const shard = shardWhere(at.swarm, (rank) => rank[0] === agent(1).node);
    at.swarm.fetching(shard)!.settle(attempt, result as never);
  };

  it('whose word on the shard counts', () => {
    begin(1, [FIRST]);
    assert.deepEqual(asked(), [[FIRST, 'holder']]);
    assert.equal(at.effects.last('ask').ask.origin, null);
    settle(1, data(CHECKSUM, CHECKSUM));
    const { result } = at.effects.last('finished');
    assert.ok(result.kind === 'done' && result.from === 'peer');
  });

  for (const [what, result] of [
    ['has it no more', { kind: 'miss' }],
    ['refuses', { kind: 'refused', error: { code: 'OVERLOADED', message: 'full' } }],
    ['is unreachable', failure('PEER_UNREACHABLE')],
  ] as const)
    it(`goes on to the next, a root and the origin when one ${what}`, () => {
      begin(1, [FIRST, SECOND]);
      settle(1, result);
      settle(2, result);
      settle(3, { kind: 'miss' });
      assert.deepEqual(asked(), [
        [FIRST, 'holder'],
        [SECOND, 'holder'],
        [at.members[4]!.node, 'root'],
        'origin',
      ]);
    });

  it('goes on at the byte where a holder broke off', () => {
    begin(0, [FIRST]);
    settle(1, failure('PEER_BROKEN', 1_000));
    assert.equal(at.effects.last('origin').ask.fromBytes, 0, "the origin's own bytes only");
  });

  it('reads wrong bytes anew, from somebody else', () => {
    begin(0, [FIRST]);
    settle(1, data('bb'.repeat(32), CHECKSUM));
    assert.notDeepEqual(asked().at(-1), 'finished');
  });

  it('asks no holder where another node is the owner', () => {
    begin(0, [FIRST], 4);
    assert.deepEqual(asked(), [[agent(4).node, 'owner']]);
  });

  it('as a holder serves only what it has whole', () => {
    begin(0, []);
    const shard = shardWhere(at.swarm, (rank) => rank[0] === agent(1).node);
    const ask = (held: boolean): string =>
      at.swarm.ask(request(shard, FIRST, { role: 'holder', held })).kind;
    assert.deepEqual([ask(false), ask(true)], ['miss', 'serve']);
  });
});
