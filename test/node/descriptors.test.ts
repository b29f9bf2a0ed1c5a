import assert from 'node:assert/strict';
import { assertDescriptors, connectionsMax, descriptorLimit } from '../../lib/node/descriptors.ts';
import { CONNECTIONS_MIN, DESCRIPTORS_MIN, DESCRIPTORS_RESERVED } from '../../lib/node/limits.ts';

describe('node/descriptors', () => {
  it('reads the limit of this process', () => {
    assert.ok(descriptorLimit() > 0);
  });

  it('leaves connections what is free but for a reserve, or half of it', () => {
    const max = (limit: number): number => connectionsMax(limit, () => 50);
    assert.equal(max(1_050), 500);
    assert.equal(max(20_050), 20_000 - DESCRIPTORS_RESERVED);
    assert.equal(max(50), CONNECTIONS_MIN);
    assert.equal(max(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
  });

  it('ends the start where there are too few, naming the limit and what to do', () => {
    assertDescriptors(1, () => DESCRIPTORS_MIN);
    const short = {
      code: 'LIMIT_TOO_LOW',
      message:
        /^this process may open only 64 files, and a node needs 80; raise the limit \(ulimit/,
    };
    assert.throws(() => assertDescriptors(2, () => DESCRIPTORS_MIN), short);
    const none = Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    assert.throws(
      () =>
        assertDescriptors(1, () => {
          throw none;
        }),
      { code: 'LIMIT_TOO_LOW' },
    );
  });

  it('knows no limit where the system does not tell it', () => {
    assert.equal(descriptorLimit('/proc/self/not-there'), Number.POSITIVE_INFINITY);
  });
});
