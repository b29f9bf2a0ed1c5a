import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { disableP2p, enableP2p, readP2p } from '../../lib/runtimes/overlaybd.ts';
import { jsonTexts, objectsWithout, read } from './layouts.ts';

const golden = readFileSync(new URL('../golden/overlaybd.json', import.meta.url), 'utf8');
const ADDRESS = 'http://localhost:65001/accelerator';

describe('overlaybd.json: the text', () => {
  it('changes two values of the sample and no other byte', () => {
    const expected = golden.replace(
      '"enable": false,\n    "address": "https://localhost:65001/accelerator"',
      `"enable": true,\n    "address": "${ADDRESS}"`,
    );
    assert.notEqual(expected, golden);
    assert.equal(enableP2p(golden, ADDRESS), expected);
    assert.equal(disableP2p(expected, golden), golden);
  });

  const edits: [what: string, before: string, after: string][] = [
    [
      'no p2pConfig',
      '{\n    "a": 1\n}',
      '{\n    "a": 1,\n    "p2pConfig": {\n        "enable": true,\n        "address": ' +
        `"${ADDRESS}"\n    }\n}`,
    ],
    [
      'tabs, CRLF, end of line',
      '{\r\n\t"a": 1\r\n}\r\n',
      '{\r\n\t"a": 1,\r\n\t"p2pConfig": {\r\n\t\t"enable": true,\r\n\t\t"address": ' +
        `"${ADDRESS}"\r\n\t}\r\n}\r\n`,
    ],
    ['one line', '{"a":1}', `{"a":1,"p2pConfig":{"enable":true,"address":"${ADDRESS}"}}`],
    [
      'one line with spaces',
      '{ "a": 1 }\n',
      `{ "a": 1, "p2pConfig": {"enable": true, "address": "${ADDRESS}"} }\n`,
    ],
    ['nothing at all', '{}', `{"p2pConfig":{"enable":true,"address":"${ADDRESS}"}}`],
    [
      'an empty p2pConfig',
      '{\n  "p2pConfig": {}\n}',
      `{\n  "p2pConfig": {\n    "enable": true,\n    "address": "${ADDRESS}"\n  }\n}`,
    ],
    [
      'no address',
      '{\n  "p2pConfig": {\n    "enable": false\n  }\n}',
      `{\n  "p2pConfig": {\n    "enable": true,\n    "address": "${ADDRESS}"\n  }\n}`,
    ],
    [
      'other members of its own',
      '{"p2pConfig":{"x":[1, 2],"enable":false,"address":"http://a/b"},"y":0}',
      `{"p2pConfig":{"x":[1, 2],"enable":true,"address":"${ADDRESS}"},"y":0}`,
    ],
    [
      'values of other types',
      '{"p2pConfig":{"enable":"no","address":null}}',
      `{"p2pConfig":{"enable":true,"address":"${ADDRESS}"}}`,
    ],
    [
      'comments',
      '{ // ours\n  "p2pConfig": { /* off */ "enable": false, "address": "" }\n}',
      `{ // ours\n  "p2pConfig": { /* off */ "enable": true, "address": "${ADDRESS}" }\n}`,
    ],
    [
      'the same name elsewhere',
      '{"x":{"p2pConfig":{"enable":false}},"p2pConfig":{"enable":false,"address":""}}',
      `{"x":{"p2pConfig":{"enable":false}},"p2pConfig":{"enable":true,"address":"${ADDRESS}"}}`,
    ],
    [
      'braces and quotes in strings',
      '{"x":"\\"}{","p2pConfig":{"enable":false,"address":"\\\\"}}',
      `{"x":"\\"}{","p2pConfig":{"enable":true,"address":"${ADDRESS}"}}`,
    ],
    [
      'an escaped name',
      '{"p2p\\u0043onfig":{"enable":false,"address":""}}',
      `{"p2p\\u0043onfig":{"enable":true,"address":"${ADDRESS}"}}`,
    ],
  ];
  for (const [what, before, after] of edits) {
    it(`${what}: on, again, and off`, () => {
      assert.equal(enableP2p(before, ADDRESS), after);
      assert.equal(enableP2p(after, ADDRESS), after);
      assert.deepEqual(readP2p(after), { enabled: true, address: ADDRESS });
      assert.equal(disableP2p(after, before), before);
    });
  }

  it('keeps what has been changed since', () => {
    const before = '{\n  "a": 1\n}\n';
    const later = enableP2p(before, ADDRESS).replace('"a": 1', '"a": 2, "b": 3');
    assert.equal(disableP2p(later, before), '{\n  "a": 2, "b": 3\n}\n');
    const member = '{"p2pConfig":{"address":"http://old/x"},"a":1}';
    assert.equal(
      disableP2p(enableP2p(member, ADDRESS).replace('"a":1', '"a":2'), member),
      '{"p2pConfig":{"address":"http://old/x"},"a":2}',
    );
    const added = enableP2p('{"a":1}', ADDRESS).replace('"enable"', '"more":1,"enable"');
    assert.deepEqual(read(disableP2p(added, '{"a":1}')), {
      a: 1,
      p2pConfig: { more: 1, enable: false, address: ADDRESS },
    });
  });

  it('is off after disable, whatever the state before', () => {
    const other = '{"p2pConfig":{"enable":true,"address":"http://other/p"}}';
    assert.equal(
      disableP2p(enableP2p(other, ADDRESS), other),
      '{"p2pConfig":{"enable":false,"address":"http://other/p"}}',
    );
    assert.equal(
      disableP2p(other, null),
      '{"p2pConfig":{"enable":false,"address":"http://other/p"}}',
    );
    assert.equal(
      disableP2p(other, 'not JSON'),
      '{"p2pConfig":{"enable":false,"address":"http://other/p"}}',
    );
    assert.equal(disableP2p('{"a":1}', null), '{"a":1}');
  });

  it('adds the section to any document, changes nothing else, and removes it again', () => {
    fc.assert(
      fc.property(jsonTexts(objectsWithout('p2pConfig')), (text) => {
        const on = enableP2p(text, ADDRESS);
        assert.deepEqual(read(on), {
          ...read(text),
          p2pConfig: { enable: true, address: ADDRESS },
        });
        assert.equal(on.includes('\r\n'), text.includes('\r\n'));
        assert.equal(disableP2p(on, text), text);
        // Without the way back by comparison: what was added is found and taken out.
        if (Object.keys(read(text)).length > 0)
          assert.equal(disableP2p(`${on} `, text), `${text} `);
      }),
    );
  });

  it('enables and disables in any document with the section, keeping every other byte', () => {
    const section = fc.record({ enable: fc.boolean(), address: fc.webUrl() });
    const documents = fc
      .tuple(objectsWithout('p2pConfig'), section, objectsWithout('p2pConfig'))
      .map(([a, p2pConfig, b]) => ({ ...a, p2pConfig, ...b }));
    fc.assert(
      fc.property(jsonTexts(documents), fc.webUrl(), (text, address) => {
        const on = enableP2p(text, address);
        const { p2pConfig, ...rest } = read(text);
        assert.deepEqual(read(on), { ...rest, p2pConfig: { enable: true, address } });
        const [old, now] = [tokens(p2pConfig), tokens({ enable: true, address })];
        assert.equal(neutral(on, now), neutral(text, old));
        if ((p2pConfig as { enable: boolean }).enable === false)
          assert.equal(disableP2p(on, text), text);
      }),
    );
  });

  const damaged: [string, RegExp][] = [
    ['', /^not JSON: value expected \(line 1, column 1\)$/],
    ['{', /^not JSON: close brace expected/],
    ['{\n  "a": 1,\n}', /^not JSON: property name expected \(line 3, column 1\)$/],
    ['{"a" 1}', /colon expected/],
    ['{"a":1 "b":2}', /comma expected/],
    ['{"a":tru}', /invalid symbol \(line 1, column 6\)/],
    ['{"a":01}', /comma expected/],
    ['{"a":"x}', /unexpected end of string/],
    ['{"a":"x\n"}', /unexpected end of string/],
    ['{"a":"x\u0001"}', /invalid character/],
    ['{"a":1} x', /invalid symbol/],
    ['{"a":1', /close brace expected/],
    ['[1, 2', /close bracket expected/],
    ['[]', /^not a JSON object$/],
    ['"p2pConfig"', /^not a JSON object$/],
    ['{"p2pConfig": true}', /^"p2pConfig" is not an object$/],
    ['{"p2pConfig": {}, "p2pConfig": {}}', /^"p2pConfig" appears twice$/],
    ['{"p2pConfig": {"enable": true, "enable": false}}', /^"enable" appears twice$/],
    ['['.repeat(100_000), /nested too deep/],
  ];
  for (const [text, message] of damaged) {
    it(`refuses ${JSON.stringify(text.slice(0, 50))}`, () => {
      for (const use of [
        () => readP2p(text),
        () => enableP2p(text, ADDRESS),
        () => disableP2p(text, null),
      ]) {
        assert.throws(
          use,
          (error: Error & { code: string }) =>
            error.code === 'FILE_UNUSABLE' &&
            message.test(error.message) &&
            !error.message.includes('\n'),
        );
      }
    });
  }

  it('accepts exactly what JSON.parse accepts', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.json().chain((text) => fc.nat(text.length).map((at) => text.slice(0, at))),
        ),
        (text) => {
          const accepts = (use: () => unknown): boolean => {
            try {
              use();
              return true;
            } catch {
              return false;
            }
          };
          assert.equal(
            accepts(() => readP2p(`{"x":${text}}`)),
            accepts(() => JSON.parse(`{"x":${text}}`)),
            text,
          );
        },
      ),
    );
  });
});

function tokens(section: unknown): string[] {
  const { enable, address } = section as { enable: boolean; address: string };
  return [JSON.stringify(enable), JSON.stringify(address)];
}

/** The text with the two values of p2pConfig blanked out, wherever it stands. */
function neutral(text: string, [enable, address]: string[]): string {
  const at = text.lastIndexOf('"p2pConfig"');
  return (
    text.slice(0, at) +
    text
      .slice(at)
      .replace(enable!, 'E')
      .replace(address!, () => 'A')
  );
}
