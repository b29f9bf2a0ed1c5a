import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import {
  challengeFor,
  lastingChallenge,
  parseHeardWord,
  WordTable,
  type Word,
} from '../../lib/registry/words.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;
const manifest = (contentType = 'a/b'): Word => ({ kind: 'manifest', digest: DIGEST, contentType });

describe('registry/words', () => {
  let clock: ManualClock;
  let table: WordTable;
  beforeEach(() => {
    clock = new ManualClock();
    table = new WordTable(clock, 3_600_000);
  });

  it('finds what was said until it is too old', () => {
    assert.equal(table.find('x'), null);
    table.said('x', manifest(), 'n:1');
    clock.advance(3_599_999);
    assert.deepEqual(table.find('x'), { word: manifest(), ageMs: 3_599_999, node: 'n:1' });
    clock.advance(1);
    assert.equal(table.find('x'), null);
  });

  it('remembers nothing with a time of 0', () => {
    const none = new WordTable(clock, 0);
    none.said('x', { kind: 'grant' }, 'n:1');
    assert.equal(none.find('x'), null);
  });

  it('believes the younger word, whoever brings it', () => {
    table.said('x', manifest('old/one'), 'n:1');
    clock.advance(10_000);
    table.heard('x', { word: manifest('older/one'), ageMs: 20_000, node: 'n:2' });
    assert.deepEqual(table.find('x')?.word, manifest('old/one'));
    table.heard('x', { word: manifest('new/one'), ageMs: 5_000, node: 'n:2' });
    assert.deepEqual(table.find('x'), { word: manifest('new/one'), ageMs: 5_000, node: 'n:2' });
    table.said('x', { kind: 'withdrawn' }, 'n:1');
    assert.deepEqual(table.find('x')?.word, { kind: 'withdrawn' });
  });

  it('has others told of what is new to them at once, of the rest now and then', () => {
    assert.equal(table.said('x', manifest(), 'n:1'), true);
    clock.advance(899_999);
    assert.equal(table.said('x', manifest(), 'n:1'), false);
    assert.equal(table.said('x', manifest('c/d'), 'n:1'), true);
    clock.advance(899_999);
    assert.equal(table.said('x', manifest('c/d'), 'n:1'), false);
    clock.advance(1);
    assert.equal(table.said('x', manifest('c/d'), 'n:1'), true);
    table.heard('y', { word: manifest(), ageMs: 0, node: 'n:2' });
    assert.equal(table.said('y', manifest(), 'n:1'), true, 'that it is here, too, is new');
  });

  it('keeps a bounded number', () => {
    const small = new WordTable(clock, 1_000, 2);
    for (const id of ['a', 'b', 'c']) small.said(id, { kind: 'open' }, 'n:1');
    assert.deepEqual(
      ['a', 'b', 'c'].map((id) => small.find(id) !== null),
      [false, true, true],
    );
  });

  it('takes over from other nodes what is well-formed', () => {
    const heard = { ageMs: 5, node: 'n:1' };
    for (const word of [
      { kind: 'grant' },
      { kind: 'open' },
      { kind: 'withdrawn' },
      manifest(),
      { kind: 'challenge', challenge: 'Basic realm="x"' },
    ]) {
      assert.deepEqual(parseHeardWord({ word, ...heard, more: 1 }), { word, ...heard });
    }
    const wrong = [
      null,
      1,
      { word: { kind: 'grant' } },
      { word: { kind: 'grant' }, ageMs: -1, node: 'n' },
      { word: { kind: 'grant' }, ageMs: Infinity, node: 'n' },
      { word: { kind: 'other' }, ...heard },
      { word: { kind: 'manifest', digest: 'sha256:x', contentType: 'a/b' }, ...heard },
      { word: manifest('a/b\r\nx: y'), ...heard },
      { word: { kind: 'challenge', challenge: 'Basic realm="x"\r\nx: y' }, ...heard },
      { word: { kind: 'challenge', challenge: `Basic ${'x'.repeat(2_000)}` }, ...heard },
    ];
    for (const value of wrong) assert.equal(parseHeardWord(value), null, JSON.stringify(value));
  });

  it("keeps what a challenge says for every repository, in the registry's form", () => {
    const kept = lastingChallenge(
      'Bearer realm="https://t/token",service="r",' +
        'scope="repository:team/app:pull",error="insufficient_scope"',
    );
    assert.equal(kept, 'Bearer realm="https://t/token",service="r"');
    assert.equal(
      challengeFor(kept!, 'team/other'),
      'Bearer realm="https://t/token",service="r",scope="repository:team/other:pull"',
    );
    assert.equal(challengeFor(kept!, null), kept);
    assert.equal(
      lastingChallenge('Bearer scope="a:b:c",realm="https://t/"'),
      'Bearer realm="https://t/"',
    );
    assert.equal(lastingChallenge('Basic realm="Registry Realm"'), 'Basic realm="Registry Realm"');
    assert.equal(challengeFor('Basic realm="x"', 'team/app'), 'Basic realm="x"');
    assert.equal(
      lastingChallenge('Basic realm="x"\nBearer realm="https://t/",scope="a:b:c"'),
      'Bearer realm="https://t/"',
    );
    assert.equal(lastingChallenge('Basic realm="x"\nNegotiate'), 'Basic realm="x"');
    assert.equal(lastingChallenge(''), null);
  });
});
