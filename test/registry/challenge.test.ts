import assert from 'node:assert/strict';
import { parseChallenges } from '../../lib/registry/challenge.ts';

const BEARER =
  'Bearer realm="https://t.example/token",service="my registry, inc",scope="repository:a/b:pull"';
const bearer = {
  scheme: 'bearer',
  parameters: {
    realm: 'https://t.example/token',
    service: 'my registry, inc',
    scope: 'repository:a/b:pull',
  },
};
const basic = { scheme: 'basic', parameters: { realm: 'x' } };

describe('registry/challenge', () => {
  const cases: [string, string[], object[]][] = [
    ['one challenge', [BEARER], [bearer]],
    ['two headers', ['Basic realm="x"', BEARER], [basic, bearer]],
    ['two challenges in one line', [`${BEARER}, Basic realm="x"`], [bearer, basic]],
    [
      'lower case and blanks',
      [BEARER.replace('Bearer', 'bearer').replaceAll('",', '" , ')],
      [bearer],
    ],
    [
      'values without quotes',
      ['Bearer realm=https://t.example/token,service=x'],
      [{ scheme: 'bearer', parameters: { realm: 'https://t.example/token', service: 'x' } }],
    ],
    [
      'schemes without parameters, or with a value of their own',
      ['Negotiate, Basic realm="x"', 'NTLM TlRMTVNTUAAB=='],
      [{ scheme: 'negotiate', parameters: {} }, basic, { scheme: 'ntlm', parameters: {} }],
    ],
    [
      'escapes in quotes',
      ['Basic realm="a\\"b"'],
      [{ scheme: 'basic', parameters: { realm: 'a"b' } }],
    ],
    ['nothing', ['', ' , '], []],
    ['what is none', ['"odd"'], []],
  ];
  for (const [what, headers, expected] of cases)
    it(`reads ${what}`, () =>
      assert.deepEqual(
        parseChallenges(headers).map(({ scheme, parameters }) => ({
          scheme,
          parameters: Object.fromEntries(parameters),
        })),
        expected,
      ));
});
