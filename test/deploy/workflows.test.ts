import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Assets } from '../assets.ts';
import { tryRun } from '../e2e/daemon.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What test/deploy/assets.sh provides. */
const deployAssets = new Assets<'actionlint'>('deploy');

describe("the forge's workflows", () => {
  it('pass actionlint, and it finds what is wrong', async function () {
    const [actionlint = ''] = deployAssets.needs(this, 'actionlint');
    const files = globSync('.github/workflows/*.yaml', { cwd: root }).map((file) => root + file);
    assert.ok(files.length > 0);
    const lint = (...args: string[]) =>
      tryRun(actionlint, ['-shellcheck=', '-pyflakes=', '-no-color', ...args]);
    const { code, stdout } = await lint(...files);
    assert.equal(code, 0, stdout);
    const wrong = await lint(fileURLToPath(new URL('wrong-workflow.yaml', import.meta.url)));
    assert.equal(wrong.code, 1, wrong.stdout);
    assert.match(wrong.stdout, /undefined variable "gitub"/);
  });
});
