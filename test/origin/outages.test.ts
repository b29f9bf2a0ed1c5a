import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { ShoalError } from '../../lib/errors.ts';
import { OUTAGE_ASK_MS, OUTAGE_MS, PING_AGAIN_MS, PING_FRESH_MS } from '../../lib/origin/limits.ts';
import { Outages } from '../../lib/origin/outages.ts';

const URL = 'https://r.example/v2/app/blobs/x?y';
const OTHER_URL = 'https://other.example/v2/';

describe('origin/outages', () => {
  let clock: ManualClock;
  let outages: Outages;
  let pings: string[];
  let statuses: (number | null)[];
  beforeEach(() => {
    clock = new ManualClock();
    [pings, statuses] = [[], []];
    outages = new Outages(clock, async (origin) => {
      pings.push(origin);
      return statuses.shift() ?? null;
    });
  });

  it('is an outage if the ping gets no answer, until something answers', async () => {
    assert.equal(await outages.confirm(URL), true);
    assert.deepEqual(pings, ['https://r.example']);
    clock.advance(OUTAGE_MS - 1);
    assert.deepEqual([outages.isDown(URL), outages.isDown(OTHER_URL)], [true, false]);
    assert.equal(await outages.confirm(URL), true);
    assert.equal(pings.length, 1);
    clock.advance(1);
    assert.equal(outages.isDown(URL), false);
    for (const answer of [null, new ShoalError('ORIGIN_REFUSED', 'no', { status: 401 })]) {
      assert.equal(await outages.confirm(OTHER_URL), true);
      outages.note(OTHER_URL, answer);
      assert.equal(outages.isDown(OTHER_URL), false);
    }
  });

  it('is none for any failed request alone', () => {
    for (const code of [
      'ORIGIN_UNREACHABLE',
      'ORIGIN_TIMEOUT',
      'ORIGIN_BROKEN',
      'ORIGIN_BUSY',
    ] as const)
      outages.note(URL, new ShoalError(code, 'x'));
    outages.note(URL, new ShoalError('ORIGIN_REFUSED', 'x', { status: 502 }));
    assert.equal(outages.isDown(URL), false);
    assert.deepEqual(pings, []);
  });

  it('is none if the ping is answered, even with 503; pings once a second at most', async () => {
    for (const status of [200, 301, 401, 403, 404, 429, 503]) {
      statuses = [status];
      assert.equal(await outages.confirm(URL), false, String(status));
      assert.equal(await outages.confirm(URL), false);
      assert.equal(statuses.length, 0);
      clock.advance(PING_FRESH_MS);
    }
    assert.equal(pings.length, 7);
  });

  it('is one if a gateway answers twice that there is nothing behind it', async () => {
    for (const [second, isOutage] of [
      [502, true],
      [null, true],
      [401, false],
    ] as const) {
      statuses = [502, second];
      const confirmed = outages.confirm(URL);
      await Promise.resolve();
      await Promise.resolve();
      clock.advance(PING_AGAIN_MS);
      assert.equal(await confirmed, isOutage);
      outages.note(URL, null);
      clock.advance(PING_FRESH_MS);
    }
  });

  it('shares one ping among those who ask together', async () => {
    assert.deepEqual(await Promise.all([outages.confirm(URL), outages.confirm(URL)]), [true, true]);
    assert.equal(pings.length, 1);
  });

  it('knows a registry by scheme, host and port, not by path', async () => {
    await outages.confirm('http://r.example/v2/');
    await outages.confirm('https://r.example:444/v2/');
    assert.equal(outages.isDown(URL), false);
    assert.equal(outages.isDown('http://r.example:80/v2/app/blobs/x?y'), true);
  });

  it('has it asked again once in a while', async () => {
    assert.equal(outages.takeTurn(URL), false);
    await outages.confirm(URL);
    assert.equal(outages.takeTurn(URL), false);
    clock.advance(OUTAGE_ASK_MS);
    assert.deepEqual([outages.takeTurn(URL), outages.takeTurn(URL)], [true, false]);
  });
});
