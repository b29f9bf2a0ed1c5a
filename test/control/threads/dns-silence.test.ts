import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { DNS_SILENCE_FRESH_MS } from '../../../lib/control/limits.ts';
import { DnsSilence } from '../../../lib/control/threads/dns-silence.ts';
import { originError } from '../../../lib/origin/error.ts';

const SILENT = originError(Object.assign(new Error(), { code: 'ETIMEOUT' }), 'r', false).toWire();
const UNKNOWN = originError(Object.assign(new Error(), { code: 'ENOTFOUND' }), 'r', false).toWire();

describe('control/dns-silence', () => {
  it('lasts from the first look-up that nobody answered to the first answer', () => {
    for (const answer of [null, UNKNOWN]) {
      const clock = new ManualClock();
      const silence = new DnsSilence(clock);
      silence.note('r.example', UNKNOWN);
      assert.equal(silence.ms, 0);
      for (let asked = 0; asked < 3; asked++) {
        silence.note('r.example', SILENT);
        // Another registry has its name in /etc/hosts.
        silence.note('other.example', null);
        clock.advance(5_000);
      }
      assert.equal(silence.ms, 15_000);
      silence.note('r.example', answer);
      assert.equal(silence.ms, 0);
    }
  });

  it('is not told any more when nobody has asked for long', () => {
    const clock = new ManualClock();
    const silence = new DnsSilence(clock);
    silence.note('r.example', SILENT);
    clock.advance(DNS_SILENCE_FRESH_MS - 1);
    assert.equal(silence.ms, DNS_SILENCE_FRESH_MS - 1);
    clock.advance(1);
    assert.equal(silence.ms, 0);
  });
});
