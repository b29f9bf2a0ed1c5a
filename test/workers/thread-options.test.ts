import assert from 'node:assert/strict';
import { passedOn } from '../../lib/workers/thread-options.ts';

describe('workers: what threads are started with', () => {
  it("hands profiling on, an option's value with it, and nothing else", () => {
    assert.deepEqual(
      passedOn([
        '--max-semi-space-size=4',
        '--cpu-prof',
        '--cpu-prof-dir',
        '/tmp/profiles',
        '--heap-prof-dir=/tmp/heap',
        '--enable-source-maps',
        'lib/shoal.js',
      ]),
      ['--cpu-prof', '--cpu-prof-dir', '/tmp/profiles', '--heap-prof-dir=/tmp/heap'],
    );
  });
});
