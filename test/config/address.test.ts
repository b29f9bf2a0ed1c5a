import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  formatHostPort,
  isHost,
  parseHostPort,
  parsePort,
  splitHostPort,
} from '../../lib/config/address.ts';

describe('addresses in the config', () => {
  it('reads host:port and [IPv6]:port', () => {
    assert.deepEqual(parseHostPort('10.0.0.2:65002'), { host: '10.0.0.2', port: 65_002 });
    assert.deepEqual(parseHostPort('node-7.example:1'), { host: 'node-7.example', port: 1 });
    assert.deepEqual(parseHostPort('[fd00::2]:65002'), { host: 'fd00::2', port: 65_002 });
  });

  for (const wrong of [
    '',
    ':1',
    'a',
    'a:',
    'a:0',
    'a:65536',
    'a:01',
    'a:1:2',
    'fd00::2:65002',
    '[fd00::2]',
    '[10.0.0.1]:1',
    '[]:1',
    'a b:1',
    'http://a:1',
    'a:1/',
    '999.1.1.1:1',
    '-a:1',
  ]) {
    it(`refuses ${JSON.stringify(wrong)}`, () => assert.equal(parseHostPort(wrong), null));
  }

  it('takes a host with or without a port', () => {
    assert.deepEqual(splitHostPort('mirror.example'), { host: 'mirror.example', port: null });
    assert.deepEqual(splitHostPort('[::1]'), { host: '::1', port: null });
    assert.equal(splitHostPort('::1'), null);
  });

  it('tells names from mistyped IPv4 addresses', () => {
    assert.equal(isHost('1.2.3'), false);
    assert.equal(isHost('fd00::2'), true);
    assert.equal(isHost('a_b.example'), true);
    assert.equal(isHost(`${'a'.repeat(64)}.example`), false);
  });

  it('reads back every address it writes', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()),
        fc.integer({ min: 1, max: 65_535 }),
        (host, port) => {
          assert.deepEqual(parseHostPort(formatHostPort(host, port)), { host, port });
        },
      ),
    );
  });

  it('takes a port exactly as numbers are written', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -10, max: 70_000 }),
        (number) => parsePort(String(number)) === (number >= 1 && number <= 65_535 ? number : null),
      ),
    );
  });
});
