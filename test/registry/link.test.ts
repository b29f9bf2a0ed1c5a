import assert from 'node:assert/strict';
import { linkThrough } from '../../lib/registry/link.ts';

describe('registry/link', () => {
  const cases: [string, string, string | null, string][] = [
    [
      'keeps the namespace of a path',
      '</v2/a/tags/list?last=x&n=1>; rel="next"',
      'r.example',
      '</v2/a/tags/list?last=x&n=1&ns=r.example>; rel="next"',
    ],
    [
      'makes an absolute target at the upstream a path',
      '<https://r.example/v2/a/referrers/sha256:0?token=a%2Bb>; rel="next"',
      'r.example',
      '</v2/a/referrers/sha256:0?token=a%2Bb&ns=r.example>; rel="next"',
    ],
    [
      'does so without a namespace, too',
      '<http://r.example/v2/a/tags/list?last=x>; rel="next"',
      null,
      '</v2/a/tags/list?last=x>; rel="next"',
    ],
    [
      'leaves other hosts alone',
      '<https://docs.example/x>',
      'r.example',
      '<https://docs.example/x>',
    ],
    [
      'adds no second ns',
      '</v2/a/tags/list?ns=r.example>',
      'r.example',
      '</v2/a/tags/list?ns=r.example>',
    ],
    ['takes a query alone', '<?last=x>; rel=next', 'h:5000', '<?last=x&ns=h%3A5000>; rel=next'],
    [
      'takes several links',
      '</a>; rel="next", <//r.example/b>; rel="last"',
      'r.example',
      '</a?ns=r.example>; rel="next", </b?ns=r.example>; rel="last"',
    ],
  ];
  for (const [what, link, namespace, expected] of cases)
    it(what, () => assert.equal(linkThrough(link, 'r.example', namespace), expected));
});
