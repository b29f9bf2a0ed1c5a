import assert from 'node:assert/strict';
import { blocksNotRead, printedCommands } from './printed-commands.ts';

const block = (language: string, text: string, indent = ''): string =>
  ['```' + language, text, '```'].map((line) => `${indent}${line}\n`).join('');

describe('docs: what counts as a command of a page', () => {
  it('is each line of a block of sh, and each span that begins with a program', () => {
    const shell = block('sh', 'npm ci && npm start # now\nshoal \\\n  status');
    const page = `${shell}Then \`docker save\`, \`words of prose\`.\n`;
    const commands = printedCommands(page).map(({ text }) => text);
    assert.deepEqual(commands, ['npm ci', 'npm start', 'shoal status', 'docker save']);
  });

  it('cannot hide in a block of another language or an indented one', () => {
    const hidden = [
      block('', 'npm ci'),
      block('bash', 'npm ci'),
      block('sh', 'npm ci', '   '),
      block('text', '$ npm ci'),
      block('text', 'npm ci'),
    ];
    for (const page of hidden) assert.equal(blocksNotRead(page).length, 1, page);
    for (const page of [block('sh', 'npm ci'), block('text', 'a table'), block('yaml', 'a: 1')])
      assert.deepEqual(blocksNotRead(page), []);
  });
});
