import assert from 'node:assert/strict';
import { hostFits, p2pHostOf, type RegistryRules } from '../../lib/webhook/registry-rule.ts';
import { ACR, ACR_P2P, rules } from './rules.ts';

describe('registry rules', () => {
  const cases: [host: string, p2pHost: string | null, why: string][] = [
    [ACR, ACR_P2P, 'ACR by its rule'],
    [ACR.toUpperCase(), ACR_P2P, 'hosts know no case'],
    [
      'a.cn-beijing.cr.aliyuncs.com',
      'a.distributed.cn-beijing.cr.aliyuncs.com:65001',
      'another region',
    ],
    [ACR_P2P, null, 'already a P2P address'],
    [
      'test-registry-vpc.distributed.cn-hangzhou.cr.aliyuncs.com',
      null,
      'a P2P address without a port',
    ],
    [
      'test-registry-vpc.distributed.cn-hangzhou.cr.aliyuncs.com:65010',
      null,
      'a P2P address of another port',
    ],
    [`${ACR}:5000`, null, 'the proxy could not undo the rule for a port'],
    ['mirrored.cr.aliyuncs.com', null, 'mirror mode, and the first rule that fits decides'],
    ['registry.example.com:5000', 'p2p.example.com:65001', 'its own P2P host'],
    ['registry.example.com', null, 'without the port it is another registry'],
    ['p2p.example.com:65001', null, 'a configured P2P host'],
    ['docker.io', 'hub.p2p.local:65001', 'Docker Hub'],
    ['index.docker.io', 'hub.p2p.local:65001', 'Docker Hub by another name'],
    ['quay.io', null, 'foreign'],
    ['cr.aliyuncs.com', null, 'the glob wants a label before it'],
    ['evil-cr.aliyuncs.com', null, 'the dot is part of the glob'],
    ['a.cr.aliyuncs.com.evil.example', null, 'globs are anchored'],
  ];
  for (const [host, p2pHost, why] of cases)
    it(`${host} -> ${String(p2pHost)}: ${why}`, () =>
      assert.equal(p2pHostOf(host, rules), p2pHost));

  it("makes nothing by ACR's rule of what has no NAME.REGION form", () => {
    const all: RegistryRules = {
      registries: [{ host: '*', mode: 'rewrite', p2pHost: null }],
      p2pPort: 7,
    };
    assert.equal(p2pHostOf('localhost', all), null);
    assert.equal(p2pHostOf('10.0.0.1', all), null);
    assert.equal(p2pHostOf('[fd00::1]', all), null);
    assert.equal(p2pHostOf('r.example.com', all), 'r.distributed.example.com:7');
  });

  it('reads globs', () => {
    const fits: [string, string, boolean][] = [
      ['*', 'a.b', true],
      ['*', 'a.b:1', false],
      ['*:1', 'a.b:1', true],
      ['a?.b', 'ax.b', true],
      ['a?.b', 'a.b', false],
      ['*.b.*', 'x.b.y', true],
      ['*.b.*', 'b.y', false],
      ['[fd00::1]:5000', '[fd00::1]:5000', true],
      ['[fd00::1]', '[fd00::2]', false],
      ['r.*', 'r.', true],
      ['A.b', 'a.B', true],
      ['', '', true],
    ];
    for (const [glob, host, expected] of fits)
      assert.equal(hostFits(glob, host), expected, `${glob} ${host}`);
    const startMs = performance.now();
    hostFits('*a'.repeat(100), 'a'.repeat(10_000) + 'b');
    assert.ok(performance.now() - startMs < 1_000, 'no backtracking without end');
  });
});
