import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { ManualClock } from '../../../lib/clock.ts';
import { fillFromHolders } from '../../../lib/control/peers/holder-fill.ts';
import { HolderSearch } from '../../../lib/control/peers/holder-search.ts';
import {
  HOLDERS_FOUND_MS,
  HOLDERS_NONE_MS,
  OFFER_PAUSE_MS,
  OFFER_RETRY_MS,
} from '../../../lib/control/peers/limits.ts';
import { Offers } from '../../../lib/control/peers/offers.ts';
import { newResident, type Fill } from '../../../lib/control/shards/resident.ts';
import type { ShoalError } from '../../../lib/errors.ts';
import { OFFER_REFRESH_MS, OFFERS_MAX } from '../../../lib/swarm/limits.ts';
import { parseOffers } from '../../../lib/wire/holders.ts';
import { OFFERS_PER_MESSAGE_MAX } from '../../../lib/wire/limits.ts';
import { KEY, OPTIONS } from '../fixture.ts';

const SELF = '10.0.0.1:1';
const [A, B, C] = ['10.0.0.2:1', '10.0.0.3:1', '10.0.0.4:1'];
const keyOf = (at: number): string => `sha256:${at.toString(16).padStart(64, '0')}`;

interface Call {
  node: string;
  path: string;
  words: string | null;
}

describe('control/holders', () => {
  let clock: ManualClock;
  let calls: Call[];
  let counts: string[];
  /** What a node answers; null: it cannot be reached. */
  let answerOf: (call: Call) => object | null;
  let rank: string[];

  beforeEach(() => {
    [clock, calls, counts, answerOf] = [new ManualClock(), [], [], () => ({})];
    rank = [A, B, C];
  });

  const about = () => ({
    self: SELF,
    clock,
    random: () => 0,
    ranked: () => rank,
    call(node: string, path: string, { words = null }: { words?: string | null }) {
      const call = { node, path, words };
      calls.push(call);
      const answer = answerOf(call);
      return Promise.resolve(
        answer === null
          ? { kind: 'failed' as const, error: { code: 'PEER_TIMEOUT' as const, message: 'late' } }
          : {
              kind: 'answer' as const,
              status: 200,
              body: new TextEncoder().encode(JSON.stringify(answer)),
              checksum: null,
            },
      );
    },
    count: (name: string) => void counts.push(name),
  });
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (let at = 0; at < 20; at++) await turn();
  };

  describe('offers', () => {
    let offers: Offers;
    let blobs: [string, number][];
    let kept: string[];

    beforeEach(() => {
      [blobs, kept] = [[[KEY, 100]], []];
      offers = new Offers({ ...about(), blobs: () => blobs, kept: (keys) => kept.push(...keys) });
    });
    afterEach(() => offers.close());

    it('are told once to the keepers of a blob, soon after a change', async () => {
      offers.changed();
      offers.changed();
      await pass(OFFER_PAUSE_MS - 1);
      assert.equal(calls.length, 0);
      await pass(1);
      assert.deepEqual(
        calls.map(({ node, path }) => [node, path]),
        [
          [A, '/rpc/offers'],
          [B, '/rpc/offers'],
        ],
      );
      assert.deepEqual(parseOffers(calls[0]!.words!), { node: SELF, keys: [KEY] });
      offers.changed();
      await pass(OFFER_PAUSE_MS);
      assert.equal(calls.length, 2, 'nothing new');
      for (let ms = 0; ms < 1.25 * OFFER_REFRESH_MS; ms += OFFER_REFRESH_MS / 4)
        await pass(OFFER_REFRESH_MS / 4);
      assert.equal(calls.length, 4, 'before the keepers forget');
    });

    it('are told again to who did not take them, and kept here by a keeper', async () => {
      answerOf = ({ node }) => (node === A ? null : {});
      rank = [SELF, A];
      offers.changed();
      await pass(OFFER_PAUSE_MS);
      assert.deepEqual(kept, [KEY]);
      answerOf = () => ({});
      await pass(OFFER_RETRY_MS);
      await pass(OFFER_RETRY_MS);
      assert.deepEqual(
        calls.map(({ node }) => node),
        [A, A],
      );
      assert.deepEqual(counts, ['holders.untold', 'holders.told']);
    });

    it('are bounded: the largest blobs, so many a message', async () => {
      blobs = Array.from({ length: OFFERS_MAX + 100 }, (_, at) => [keyOf(at), at]);
      rank = [A];
      offers.changed();
      await pass(OFFER_PAUSE_MS);
      assert.equal(calls.length, OFFERS_MAX / OFFERS_PER_MESSAGE_MAX);
      const told = calls.flatMap(({ words }) => parseOffers(words!)!.keys);
      assert.equal(new Set(told).size, OFFERS_MAX);
      assert.ok(!told.includes(keyOf(99)) && told.includes(keyOf(100)));
    });

    it('that change while others are told are told next', async () => {
      answerOf = () => {
        if (calls.length === 1) {
          blobs.push([keyOf(7), 7]);
          offers.changed();
        }
        return {};
      };
      rank = [A];
      offers.changed();
      await pass(OFFER_PAUSE_MS);
      await pass(OFFER_PAUSE_MS);
      assert.deepEqual(parseOffers(calls[1]!.words!)!.keys, [keyOf(7)]);
    });
  });

  describe('searches', () => {
    let search: HolderSearch;

    beforeEach(() => {
      search = new HolderSearch({ ...about(), isMember: (node) => node !== C });
    });

    it('ask the keepers once, and count for a while', async () => {
      answerOf = ({ node }) => (node === A ? null : { nodes: [A, C, SELF] });
      const both = [search.find(KEY), search.find(KEY)];
      assert.deepEqual(await Promise.all(both), [[A], [A]], 'members other than this node');
      assert.equal(calls.length, 2);
      assert.deepEqual(search.find(KEY), [A]);
      search.missed(KEY, A);
      assert.deepEqual(search.find(KEY), []);
      clock.advance(HOLDERS_FOUND_MS);
      await search.find(KEY);
      assert.equal(calls.length, 4);
      assert.deepEqual(counts, ['holders.found', 'holders.found']);
    });

    it('find nobody if keepers answer nonsense or nothing; no repeat at once', async () => {
      answerOf = ({ node }) => (node === A ? { nodes: ['no node name!'] } : null);
      assert.deepEqual(await search.find(KEY), []);
      assert.deepEqual(search.find(KEY), []);
      clock.advance(HOLDERS_NONE_MS);
      await search.find(KEY);
      assert.equal(calls.length, 4);
    });

    it('need no message where this node is the keeper and knows', async () => {
      rank = [SELF, A];
      search.told(C, [KEY]);
      answerOf = () => ({ nodes: [] });
      assert.deepEqual(await search.find(KEY), [], 'C is no member; the other keeper is asked');
      search.told(B, [keyOf(1)]);
      assert.deepEqual(search.find(keyOf(1)), [B]);
      assert.equal(calls.length, 1);
      assert.deepEqual(search.answer({ key: keyOf(1), node: A }), { nodes: [B] });
      assert.deepEqual(search.answer({ key: keyOf(1), node: B }), { nodes: [] });
    });
  });

  describe('fills', () => {
    it('are awaited where this node owns the shard; the wait can be abandoned', async () => {
      const filled: (readonly string[])[] = [];
      const offered: unknown[] = [];
      const fill = fillFromHolders({
        isOwner: ({ index }) => index === 0,
        find: () => Promise.resolve([A]),
        fill(_resident, _way, _done, _failed, holders = []) {
          filled.push(holders);
          return { abandon: () => undefined, offer: (way) => offered.push(way) };
        },
      });
      const failures: string[] = [];
      const begin = (key: string, shard: number): Fill =>
        fill(
          newResident(key, shard),
          OPTIONS,
          () => undefined,
          (error: ShoalError) => failures.push(error.code),
        );
      begin(KEY, 1);
      begin(`url:${'0'.repeat(64)}`, 0);
      assert.deepEqual(filled, [[], []], 'no search');
      begin(KEY, 0).offer(OPTIONS);
      await turn();
      assert.deepEqual([filled[2], offered], [[A], [OPTIONS]]);
      begin(KEY, 0).abandon();
      await turn();
      assert.deepEqual([filled.length, failures], [3, ['CANCELLED']]);
    });
  });
});
