import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import type { Share } from '../../../lib/share-queue.ts';
import { LayerGate } from '../../../lib/control/serve/layer-gate.ts';

describe('control/layer-gate', () => {
  let clock: ManualClock;
  let waits: number[];
  let entered: string[];
  let gate: LayerGate;

  beforeEach(() => {
    clock = new ManualClock();
    waits = [];
    entered = [];
    gate = new LayerGate(2, clock, (ms) => waits.push(ms));
  });

  const share = (upstream: string, lane: Share['lane'] = 'read', client = 'c'): Share => ({
    lane,
    upstream,
    client,
  });
  const enter = (key: string, name = key, of = share('r')): (() => void) =>
    gate.enter(key, of, () => entered.push(name));

  it('keeps places back for other upstreams, other clients and small reads', () => {
    gate = new LayerGate(8, clock, (ms) => waits.push(ms));
    for (let layer = 0; layer < 20; layer++) enter(`silent ${layer}`);
    assert.equal(entered.length, 7);
    enter('other', 'other', share('other'));
    enter('small', 'small', share('r', 'ask'));
    assert.deepEqual(entered.slice(7), ['other', 'small']);
  });

  it('calls a stream that leaves as it enters once, and keeps its place for the others', () => {
    const leaveA = enter('a');
    enter('b');
    let leaves: (() => void) | null = null;
    leaves = gate.enter('c', share('r'), () => {
      entered.push('c1');
      leaves!();
    });
    enter('c', 'c2');
    enter('d');
    leaveA();
    assert.deepEqual(entered, ['a', 'b', 'c1', 'c2']);
  });

  it('lets so many layers in and makes the rest wait in order of arrival', () => {
    const leaveA = enter('a');
    const leaveB = enter('b');
    enter('c');
    enter('d');
    assert.deepEqual(entered, ['a', 'b']);
    assert.equal(gate.waiting, 2);
    clock.advance(250);
    leaveB();
    assert.deepEqual(entered, ['a', 'b', 'c']);
    leaveA();
    assert.deepEqual(entered, ['a', 'b', 'c', 'd']);
    assert.deepEqual(waits, [250, 250]);
  });

  it('gives all streams of a layer one place, free when the last has left', () => {
    const first = enter('a', 'a1');
    const second = enter('a', 'a2');
    enter('b');
    enter('c');
    assert.deepEqual(entered, ['a1', 'a2', 'b']);
    first();
    assert.equal(gate.waiting, 1);
    second();
    assert.deepEqual(entered, ['a1', 'a2', 'b', 'c']);
  });

  it('lets everybody in at once who waits for the same layer', () => {
    const leave = enter('a');
    enter('b');
    enter('c', 'c1');
    enter('d');
    enter('c', 'c2');
    leave();
    assert.deepEqual(entered, ['a', 'b', 'c1', 'c2']);
    assert.equal(gate.waiting, 1);
  });

  it('does not let who comes later slip by those who wait', () => {
    const leave = enter('a');
    const leaveB = enter('b');
    enter('c');
    leave();
    leaveB();
    enter('d');
    enter('e');
    assert.deepEqual(entered, ['a', 'b', 'c', 'd']);
  });

  it("does not take one stream's leaving twice for the leaving of two", () => {
    const first = enter('a', 'a1');
    enter('a', 'a2');
    enter('b');
    enter('c');
    first();
    first();
    assert.equal(gate.waiting, 1);
  });

  it('forgets who left while waiting, and counts no leaving twice', () => {
    const leaveA = enter('a');
    enter('b');
    const leaveC = enter('c');
    enter('d');
    leaveC();
    leaveC();
    assert.equal(gate.waiting, 1);
    leaveA();
    leaveA();
    assert.deepEqual(entered, ['a', 'b', 'd']);
    enter('e');
    assert.equal(gate.waiting, 1, 'b and d are inside');
  });
});
