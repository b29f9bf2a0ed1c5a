import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LineOutput } from '../../lib/telemetry/line-output.ts';
import { withFullDisk } from './full-disk-run.ts';

describe('telemetry/line-output', () => {
  it('writes whole lines in order', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'shoal-lines-'));
    const fd = openSync(join(directory, 'out'), 'w');
    const output = new LineOutput(fd);
    const lines = Array.from({ length: 5000 }, (_, i) => `${i} ${'y'.repeat(i % 300)}\n`);
    for (const line of lines) assert.equal(output.write(line), true);
    await output.close();
    assert.equal(readFileSync(join(directory, 'out'), 'utf8'), lines.join(''));
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });

  it('takes no more lines once the reader is gone, and does not fall over', async () => {
    const module = new URL('../../lib/telemetry/line-output.ts', import.meta.url).href;
    const program = `
      const { LineOutput } = await import(${JSON.stringify(module)});
      const output = new LineOutput(1);
      while (output.write('anybody there?\\n')) await new Promise(setImmediate);
      await output.close();
      process.stderr.write('gone');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let report = '';
    child.stderr.on('data', (chunk: Buffer) => (report += chunk.toString()));
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.once('close', resolve));
    assert.deepEqual([code, report], [0, 'gone']);
  });

  it('resumes a file when its disk has room; a cut line stays a line of its own', () => {
    const directory = mkdtempSync(join(tmpdir(), 'shoal-lines-'));
    assert.deepEqual(withFullDisk('lines', directory), {
      told: [false, true],
      lines: [99, 99, 50, 'after', ''],
    });
    rmSync(directory, { recursive: true });
  });

  it('refuses lines past its bound when nobody reads; closing has a deadline', async () => {
    const module = new URL('../../lib/telemetry/line-output.ts', import.meta.url).href;
    const program = `
      const { LineOutput } = await import(${JSON.stringify(module)});
      const output = new LineOutput(1, 1024 * 1024);
      const line = 'z'.repeat(1023) + '\\n';
      const startMs = performance.now();
      let taken = 0, refused = 0;
      for (let i = 0; i < 5000; i++) output.write(line) ? taken++ : refused++;
      const ms = performance.now() - startMs;
      await output.close();
      process.stderr.write(JSON.stringify({ taken, refused, ms }));
      process.exit(0);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let report = '';
    child.stderr.on('data', (chunk: Buffer) => (report += chunk.toString()));
    await new Promise((resolve) => child.once('exit', resolve));
    const { taken, refused, ms } = JSON.parse(report.slice(report.indexOf('{"taken'))) as {
      taken: number;
      refused: number;
      ms: number;
    };
    assert.equal(taken + refused, 5000);
    assert.ok(taken >= 1000 && taken < 2000, `took ${taken}`);
    assert.ok(ms < 5000, `${ms} ms`);
  });
});
