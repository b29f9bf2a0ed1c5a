import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { LEASES, NODES } from '../../lib/cluster/kubernetes/client.ts';
import {
  reportLease,
  reportName,
  reportOf,
  type NodeReport,
} from '../../lib/cluster/kubernetes/node-report.ts';
import { fits, nodeRefusal, NodeSurvey, type KnownNode } from '../../lib/webhook/node-survey.ts';
import type { NodeRequirement, Pod } from '../../lib/webhook/pod.ts';
import { FakeKube } from '../kube/fake-kube.ts';
import { turns } from '../kube/turns.ts';

const HOST = 'p2p.example.com:65001';
const node = (name: string, labels: Record<string, string> = {}): KnownNode => ({ name, labels });
const pod = (spec: Partial<Pod['spec']> = {}): Pod => ({
  metadata: {},
  spec: { containers: [], ...spec },
});
const reports = (...list: NodeReport[]): Map<string, NodeReport> =>
  new Map(list.map((report) => [report.node, report]));
const fine = (name: string): NodeReport => ({ node: name, hosts: [HOST], obstacles: [] });

describe('the nodes of a pod', () => {
  const requiring = (...matchExpressions: NodeRequirement[]): Partial<Pod['spec']> => ({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions }],
        },
      },
    },
  });
  const cases: [what: string, spec: Partial<Pod['spec']>, of: KnownNode, expected: boolean][] = [
    ['no wishes', {}, node('a'), true],
    ['a node name', { nodeName: 'b' }, node('a'), false],
    ['a selector', { nodeSelector: { pool: 'x' } }, node('a', { pool: 'x' }), true],
    ['another selector', { nodeSelector: { pool: 'x' } }, node('a', { pool: 'y' }), false],
    [
      'In',
      requiring({ key: 'p', operator: 'In', values: ['x', 'y'] }),
      node('a', { p: 'y' }),
      true,
    ],
    [
      'NotIn',
      requiring({ key: 'p', operator: 'NotIn', values: ['x'] }),
      node('a', { p: 'x' }),
      false,
    ],
    [
      'NotIn without the label',
      requiring({ key: 'p', operator: 'NotIn', values: ['x'] }),
      node('a'),
      true,
    ],
    ['Exists', requiring({ key: 'p', operator: 'Exists' }), node('a'), false],
    ['DoesNotExist', requiring({ key: 'p', operator: 'DoesNotExist' }), node('a'), true],
    ['Gt', requiring({ key: 'p', operator: 'Gt', values: ['4'] }), node('a', { p: '5' }), true],
    ['Lt', requiring({ key: 'p', operator: 'Lt', values: ['4'] }), node('a', { p: '5' }), false],
    ['a term without requirements', requiring(), node('a'), false],
    ['a Windows node', {}, node('a', { 'kubernetes.io/os': 'windows' }), false],
    ['a virtual node', {}, node('a', { type: 'virtual-kubelet' }), false],
    [
      'a virtual node that is tolerated',
      { tolerations: [{ key: 'virtual-kubelet.io/provider', operator: 'Exists' }] },
      node('a', { type: 'virtual-kubelet' }),
      true,
    ],
    [
      'everything tolerated',
      { tolerations: [{ operator: 'Exists' }] },
      node('a', { type: 'virtual-kubelet' }),
      true,
    ],
  ];
  for (const [what, spec, of, expected] of cases)
    it(what, () => assert.equal(fits(pod(spec), of), expected));

  const nodes = [node('a'), node('b', { pool: 'x' })];
  const refusals: [what: string, Map<string, NodeReport>, Partial<Pod['spec']>, RegExp | null][] = [
    ['every node is configured', reports(fine('a'), fine('b')), {}, null],
    ['one node has no agent', reports(fine('a')), {}, /^b: no report/],
    ['the pod goes to another node', reports(fine('b')), { nodeSelector: { pool: 'x' } }, null],
    [
      'one node lacks the host',
      reports(fine('a'), { ...fine('b'), hosts: [] }),
      {},
      /^b: .*not configured/,
    ],
    [
      'one runtime does not read the files',
      reports(fine('a'), { ...fine('b'), obstacles: ['config_path is not set'] }),
      {},
      /^b: config_path is not set$/,
    ],
    ['no node fits', reports(fine('a')), { nodeSelector: { pool: 'new' } }, /selector or affinity/],
  ];
  for (const [what, known, spec, refusal] of refusals)
    it(`${what}: ${refusal === null ? 'rewritten' : 'left alone'}`, () => {
      const found = nodeRefusal(pod(spec), HOST, nodes, known, false);
      if (refusal === null) assert.equal(found, null);
      else assert.match(found?.detail ?? '', refusal);
    });

  it('new nodes that wait for their agent may be counted on', () => {
    const spec = { nodeSelector: { pool: 'new' } };
    assert.equal(nodeRefusal(pod(spec), HOST, nodes, reports(), true), null);
    assert.notEqual(nodeRefusal(pod({ nodeName: 'c' }), HOST, nodes, reports(), true), null);
  });
});

describe('reports of agents', () => {
  const place = { namespace: 'shoal', nodeUid: 'u-1' };

  it('are read back from their Lease, and from no other', () => {
    for (const report of [fine('a'), { node: 'a', hosts: [], obstacles: ['one', 'two'] }])
      assert.deepEqual(reportOf(reportLease(report, place)), report);
    assert.equal(
      reportOf({ metadata: { name: 'shoal-webhook' }, spec: { holderIdentity: 'x' } }),
      null,
    );
  });

  it('are followed', async () => {
    const kube = new FakeKube();
    const counts: [number, number][] = [];
    await kube.create(NODES, { metadata: { name: 'a', labels: {} } });
    const survey = new NodeSurvey({
      client: kube,
      clock: new ManualClock(),
      random: () => 0.5,
      namespace: 'shoal',
      newNodesWait: false,
      onChange: (configured, obstructed) => counts.push([configured, obstructed.length]),
      onError: assert.ifError,
    });
    survey.start();
    await turns();
    assert.match(survey.refusal(pod(), HOST)?.detail ?? '', /no report/);
    await kube.create(LEASES, reportLease(fine('a'), place));
    await turns();
    assert.equal(survey.refusal(pod(), HOST), null);
    assert.deepEqual(counts.at(-1), [1, 0]);
    await kube.remove(LEASES, 'shoal', reportName('a'));
    await turns();
    assert.notEqual(survey.refusal(pod(), HOST), null);
    await kube.create(LEASES, reportLease(fine('a'), place));
    await turns();
    const many = Array.from({ length: 200 }, (_, at) => survey.refusal(pod(), `h${at % 4}:1`));
    assert.ok(many.every((refusal) => refusal?.reason === 'node-not-configured'));
    await kube.create(NODES, { metadata: { name: 'b', labels: {} } });
    await turns();
    assert.match(survey.refusal(pod(), HOST)?.detail ?? '', /^b: no report/);
    await survey.stop();
  });
});
