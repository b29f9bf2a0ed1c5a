import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { KubeError, LEASES } from '../../../lib/cluster/kubernetes/client.ts';
import { reportName, reportOf } from '../../../lib/cluster/kubernetes/node-report.ts';
import { NodeReporter } from '../../../lib/cluster/kubernetes/node-reporter.ts';
import { KUBE_BACKOFF_MS_MAX } from '../../../lib/cluster/limits.ts';
import { FakeKube } from '../../kube/fake-kube.ts';
import { turns } from '../../kube/turns.ts';

const place = { namespace: 'shoal', nodeUid: 'u-1' };

describe("a node's report to the webhook", () => {
  let kube: FakeKube;
  let clock: ManualClock;
  let errors: unknown[];
  let reporter: NodeReporter;
  const stored = async () => {
    const lease = await kube.get(LEASES, place.namespace, reportName('n1'));
    return lease === null ? null : reportOf(lease);
  };

  beforeEach(() => {
    [kube, clock, errors] = [new FakeKube(), new ManualClock(), []];
    reporter = new NodeReporter({
      client: kube,
      clock,
      random: () => 0.5,
      node: 'n1',
      place,
      onError: (error) => errors.push(error),
    });
  });

  it('is created, changed, stays at the end, and is withdrawn with the files', async () => {
    reporter.offer(['a.example'], []);
    await turns();
    assert.deepEqual(await stored(), { node: 'n1', hosts: ['a.example'], obstacles: [] });
    reporter.offer(['a.example'], ['config_path is not set']);
    await turns();
    assert.deepEqual((await stored())?.obstacles, ['config_path is not set']);
    await reporter.stop();
    assert.notEqual(await stored(), null);
    await reporter.stop(true);
    assert.equal(await stored(), null);
    assert.deepEqual(errors, []);
  });

  it('is written with the newest state after a failure', async () => {
    kube.refuse = (call) => {
      if (call.startsWith('create')) throw new KubeError(503, 'ServiceUnavailable', 'down');
    };
    reporter.offer(['a.example'], []);
    await turns();
    reporter.offer(['a.example', 'b.example'], []);
    await turns();
    assert.deepEqual([errors.length, await stored()], [1, null]);
    kube.refuse = () => {};
    clock.advance(KUBE_BACKOFF_MS_MAX);
    await turns();
    assert.deepEqual((await stored())?.hosts, ['a.example', 'b.example']);
  });

  it('costs nothing while nothing changes', async () => {
    reporter.offer(['a.example'], []);
    await turns();
    const writes = kube.writes.length;
    reporter.offer(['a.example'], []);
    await turns();
    assert.equal(kube.writes.length, writes);
  });
});
