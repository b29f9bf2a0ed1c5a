import assert from 'node:assert/strict';
import { holdAtMs } from '../../../lib/control/peers/credential-end.ts';
import {
  CREDENTIAL_HOLD_BEFORE_MS,
  CREDENTIAL_HOLD_MS,
} from '../../../lib/control/peers/limits.ts';

const FIRST_USED_MS = Date.UTC(2026, 0, 31, 12, 0, 0);
const END_MS = FIRST_USED_MS + 300_000;
const jwt = (claims: object): string =>
  `Bearer e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;

describe('control/credential-end', () => {
  const cases: [string, { url?: string; authorization?: string }, number][] = [
    ['nobody', {}, Infinity],
    ['a password', { authorization: 'Basic eDp5' }, Infinity],
    ['an opaque token', { authorization: 'Bearer opaque' }, FIRST_USED_MS + CREDENTIAL_HOLD_MS],
    [
      'a JWT that ends',
      { authorization: jwt({ exp: END_MS / 1000 }) },
      END_MS - CREDENTIAL_HOLD_BEFORE_MS,
    ],
    ['a JWT without an end', { authorization: jwt({}) }, FIRST_USED_MS + CREDENTIAL_HOLD_MS],
    [
      'Expires',
      { url: `https://b.example/o?Expires=${END_MS / 1000}&Signature=x` },
      END_MS - CREDENTIAL_HOLD_BEFORE_MS,
    ],
    [
      'X-Amz-Expires',
      { url: 'https://b.example/o?X-Amz-Date=20260131T120000Z&X-Amz-Expires=300' },
      END_MS - CREDENTIAL_HOLD_BEFORE_MS,
    ],
    [
      "Azure's se",
      { url: 'https://b.example/o?se=2026-01-31T12%3A05%3A00Z&sig=x' },
      END_MS - CREDENTIAL_HOLD_BEFORE_MS,
    ],
  ];
  for (const [what, way, atMs] of cases)
    it(`knows when to ask for the rest: ${what}`, () =>
      assert.equal(
        holdAtMs({ url: 'https://r.example/b', authorization: null, ...way }, FIRST_USED_MS),
        atMs,
      ));
});
