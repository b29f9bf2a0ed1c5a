import assert from 'node:assert/strict';
import { renderPulls } from '../../lib/commands/pulls.ts';
import { busyFixture } from './demo-server.ts';

// oxlint-disable-next-line no-control-regex
const ESCAPE = /\x1b\[[0-9;]*m/g;

describe('shoal pulls', () => {
  const { pulls } = busyFixture();

  for (const columns of [40, 80, 200])
    it(`names image, bytes, sources, waits and the slowest peer in ${columns} columns`, () => {
      const text = renderPulls(pulls, columns).replace(ESCAPE, '');
      for (const line of text.split('\n'))
        assert.ok(line.length <= columns || line.includes('PEER_TIMEOUT'), line);
      for (const part of [
        'service-with-a-long-name:v1.24.3',
        '402.7 MB',
        '3.21 s, going on',
        'peer 97 %',
        'peer 1.90 s',
        'throttle 0.31 s',
        'slowest 10.0.0.7:65002, 1.2 MB/s',
        'PEER_TIMEOUT (2 times)',
      ])
        assert.ok(text.includes(part), `${part} in ${text}`);
    });

  it('shows control characters of names and messages instead of sending them', () => {
    const [pull] = pulls;
    const errors = [{ code: 'PEER_BROKEN' as const, message: 'b\u009b31m\n', count: 1 }];
    const evil = { ...pull!, image: 'a\u001b[2J', errors };
    const text = renderPulls([evil], 80).replace(ESCAPE, '');
    assert.match(text, /^a\\x1b\[2J$/m);
    assert.match(text, /PEER_BROKEN {2}b\\x9b31m\\x0a$/m);
  });
});
