import assert from 'node:assert/strict';
import { laterSteps } from '../../lib/commands/up-hints.ts';

describe('cli/up: hints', () => {
  it('says what to do after --once, by the name the program was called', () => {
    const said = laterSteps('npm run -s shoal --');
    for (const step of ['npm run -s shoal -- up\n', 'up --nodes 8 --registry ', 'init --dir '])
      assert.ok(said.includes(step), step);
  });
});
