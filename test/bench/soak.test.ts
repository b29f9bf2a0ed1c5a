import assert from 'node:assert/strict';
import { judge, type Sample } from '../../native-bench/soak/verdict.ts';

/** Ten minutes, a sample a second, all the same but for what `change` makes of a second. */
function tenMinutes(change: (second: number) => Partial<Sample> = () => ({})): Sample[] {
  return Array.from({ length: 600 }, (_, second) => ({
    atSeconds: second + 1,
    residentBytes: 400e6,
    descriptors: 90,
    frontDelayP99Ms: 1,
    ...change(second),
  }));
}

const failures = (samples: Sample[]): boolean[] => judge(samples).lines.map(({ ok }) => !ok);

describe('native-bench/soak', () => {
  it('passes a stable node, whatever its first minute shows', () => {
    assert.equal(judge(tenMinutes()).ok, true);
    assert.equal(
      judge(tenMinutes((second) => (second < 60 ? { residentBytes: 200e6, descriptors: 20 } : {})))
        .ok,
      true,
    );
    assert.equal(
      judge(tenMinutes((second) => (second === 300 ? { frontDelayP99Ms: 50 } : {}))).ok,
      true,
      'one second of six hundred',
    );
  });

  it('finds growth of memory or descriptors by a twentieth, and a front that stalls', () => {
    assert.deepEqual(
      failures(tenMinutes((second) => ({ residentBytes: 400e6 + second * 50_000 }))),
      [true, false, false],
    );
    assert.deepEqual(
      failures(tenMinutes((second) => ({ descriptors: 90 + Math.floor(second / 90) }))),
      [false, true, false],
    );
    assert.deepEqual(
      failures(tenMinutes((second) => ({ descriptors: second % 5 === 0 ? 60 : 90 }))),
      [false, false, false],
      'between two loads',
    );
    assert.deepEqual(
      failures(tenMinutes((second) => (second % 50 === 0 ? { frontDelayP99Ms: 12 } : {}))),
      [false, false, true],
    );
  });

  it('takes thirds of a short run', () => {
    const { residentMB } = judge(
      tenMinutes((second) => ({
        residentBytes: second < 10 ? 1e6 : second < 20 ? 2e6 : 3e6,
      })).slice(0, 30),
    );
    assert.deepEqual(residentMB, { secondMinute: 2, lastMinute: 3, max: 3 });
  });

  it('fails a node without samples', () => {
    assert.equal(judge([]).ok, false);
    assert.equal(
      judge(tenMinutes(() => ({ frontDelayP99Ms: Number.NEGATIVE_INFINITY }))).ok,
      false,
    );
  });
});
