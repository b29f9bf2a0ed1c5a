import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { CertificateWatch } from '../../../lib/control/watch/certificate-watch.ts';
import { CERTIFICATE_LOOK_MS } from '../../../lib/control/limits.ts';
import { until } from '../../telemetry/until.ts';

describe('control/certificate-watch', () => {
  let clock: ManualClock;
  let text: string;
  let looks: number;
  let told: string[];
  let watch: CertificateWatch;

  beforeEach(() => {
    clock = new ManualClock();
    [text, looks, told] = ['first', 0, []];
    const read = async (): Promise<string> => {
      looks++;
      if (text === '') throw new Error('no such file');
      return text;
    };
    watch = new CertificateWatch(
      {
        clock,
        read,
        changed: () => told.push(`changed to ${text}`),
        failed: (error) => told.push(error.message),
      },
      text,
    );
  });

  /**
   * Lets the time of one look pass and waits for its end: what it tells, it tells before the next
   * timer is made.
   */
  async function look(): Promise<void> {
    const before = looks;
    await until(() => {
      clock.advance(CERTIFICATE_LOOK_MS);
      return looks > before;
    }, 'a look');
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  it('tells of a certificate that is another, once', async () => {
    await look();
    assert.deepEqual(told, []);
    text = 'second';
    await look();
    await look();
    assert.deepEqual(told, ['changed to second']);
  });

  it('says when it cannot be read, and looks again', async () => {
    text = '';
    await look();
    text = 'first';
    await look();
    text = 'third';
    await look();
    assert.deepEqual(told, ['no such file', 'changed to third']);
  });

  it('is over when it is closed', () => {
    watch.close();
    clock.advance(10 * CERTIFICATE_LOOK_MS);
    assert.equal(looks, 0);
  });
});
