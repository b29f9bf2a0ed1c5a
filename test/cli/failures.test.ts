import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { errorFixes } from '../../lib/error-fixes.ts';
import { ExitCode } from '../../lib/commands/program.ts';
import { renderTroubleshooting } from '../../lib/commands/troubleshooting-doc.ts';
import { errorTable } from '../../lib/errors.ts';
import { run } from './run-program.ts';

interface Failure {
  ok: boolean;
  error: { code: keyof typeof errorTable; message: string; fix: string };
}

describe('failures of commands', () => {
  const failing: [args: string[], code: keyof typeof errorTable, exit: number][] = [
    [['agent', '--config', '/nowhere.yaml'], 'CONFIG_INVALID', ExitCode.misuse],
    [['status', '--url', 'ftp://x'], 'USAGE', ExitCode.misuse],
    [['pulls', '--url', 'http://127.0.0.1:1'], 'PEER_UNREACHABLE', ExitCode.failed],
    [['status', '--no-such-option'], 'USAGE', ExitCode.misuse],
    [['bench', 'pread', '--url', 'nonsense'], 'USAGE', ExitCode.misuse],
  ];
  for (const [args, code, exit] of failing) {
    it(`are one JSON object on the last line for \`shoal ${args.join(' ')} --json\``, async () => {
      const plain = await run(...args);
      assert.equal(plain.code, exit);
      assert.equal(plain.out, '');
      assert.notEqual(plain.err, '');
      const machine = await run(...args, '--json');
      assert.equal(machine.code, exit);
      const last = machine.out.trimEnd().split('\n').at(-1)!;
      const { ok, error } = JSON.parse(last) as Failure;
      assert.equal(ok, false);
      assert.equal(error.code, code);
      assert.equal(error.fix, errorFixes[code].fix);
      assert.ok(error.message.length > 10, error.message);
    });
  }

  it('have a next step for every code in docs/TROUBLESHOOTING.md', () => {
    assert.deepEqual(Object.keys(errorFixes).sort(), Object.keys(errorTable).sort());
    const doc = new URL('../../docs/TROUBLESHOOTING.md', import.meta.url);
    assert.equal(readFileSync(doc, 'utf8'), renderTroubleshooting());
  });
});
