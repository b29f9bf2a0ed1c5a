import { openSync, truncateSync } from 'node:fs';
import { ManualClock } from '../../lib/clock.ts';
import { LOG_REOPEN_MS } from '../../lib/telemetry/limits.ts';
import { AuditFile } from '../../lib/telemetry/audit-file.ts';
import { LineOutput } from '../../lib/telemetry/line-output.ts';
import { until } from './until.ts';

/*
 * Run with files that cannot grow past some KiB (`ulimit -f`): as on a full disk the write that
 * comes to the end is cut short and the next one fails. Writes lines of 99 x into
 * `<directory>/audit.log` until then, makes room by cutting the file to 250 bytes, and goes on.
 * Prints what was told of it.
 */
const [kind, directory = ''] = process.argv.slice(2);
const path = `${directory}/audit.log`;
const clock = new ManualClock();
const told: unknown[] = [];
const target =
  kind === 'audit'
    ? new AuditFile({
        directory,
        clock,
        onState: (error) =>
          told.push(error === null ? 'works' : (error as NodeJS.ErrnoException).code),
      })
    : new LineOutput(openSync(path, 'a'), undefined, clock);
const fill = async (): Promise<void> => {
  while (target.write(`${'x'.repeat(99)}\n`)) await new Promise(setImmediate);
};
await fill();
// Still full at the next try.
clock.advance(LOG_REOPEN_MS);
await fill();
truncateSync(path, 250);
told.push(target.write('lost\n'));
clock.advance(LOG_REOPEN_MS);
if (kind === 'audit') await until(() => told.includes('works'), 'the recovery');
told.push(target.write('after\n'));
await target.close();
console.log(JSON.stringify(told));
