import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { KubeError } from '../../lib/cluster/kubernetes/client.ts';
import { EventRecorder } from '../../lib/webhook/event-recorder.ts';
import { EVENT_REPEAT_MS, EVENTS_AT_ONCE } from '../../lib/webhook/limits.ts';
import type { Skip } from '../../lib/webhook/plan.ts';
import type { Pod } from '../../lib/webhook/pod.ts';
import { FakeKube } from '../kube/fake-kube.ts';

const SKIP: Skip = { reason: 'pull-policy-never', detail: 'a.example/b:1' };
const podOf = (owner: string): Pod => ({
  metadata: {
    generateName: `${owner}-`,
    ownerReferences: [
      { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: owner, uid: 'u', controller: true },
    ],
  },
  spec: { containers: [] },
});

describe('events of pods that are left alone', () => {
  let kube: FakeKube;
  let clock: ManualClock;
  let errors: unknown[];
  let drops: number;
  let recorder: EventRecorder;
  beforeEach(() => {
    [kube, clock, errors, drops] = [new FakeKube(), new ManualClock(), [], 0];
    recorder = new EventRecorder({
      client: kube,
      clock,
      component: 'shoal-webhook',
      onError: (error) => errors.push(error),
      onDrop: () => drops++,
    });
  });

  it('are about the controller of the pod, and say why', async () => {
    await recorder.skipped('apps', podOf('web-1'), SKIP);
    const [event] = [...kube.objects.values()];
    assert.deepEqual(event?.['involvedObject'], {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      namespace: 'apps',
      name: 'web-1',
      uid: 'u',
    });
    assert.match(String(event['message']), /Never.*a\.example\/b:1/);
    assert.equal(event['type'], 'Normal');
  });

  it('are written once per object and reason until the repeat time', async () => {
    for (let at = 0; at < 3; at++) await recorder.skipped('apps', podOf('web-1'), SKIP);
    await recorder.skipped('apps', podOf('web-2'), SKIP);
    assert.equal(kube.writes.length, 2);
    clock.advance(EVENT_REPEAT_MS);
    await recorder.skipped('apps', podOf('web-1'), SKIP);
    assert.equal(kube.writes.length, 3);
  });

  it('are dropped and counted beyond the bound, and failures are only reported', async () => {
    kube.refuse = () => {
      throw new KubeError(403, 'Forbidden', 'no');
    };
    const sent = Array.from({ length: EVENTS_AT_ONCE + 2 }, (_, at) =>
      recorder.skipped('apps', podOf(`web-${at}`), SKIP),
    );
    await Promise.all(sent);
    assert.deepEqual([errors.length, drops], [EVENTS_AT_ONCE, 2]);
  });

  it('warn about an unconfigured runtime on a node, again for a new reason', async () => {
    for (const obstacle of ['no config_path', 'no config_path', 'not TOML'])
      await recorder.obstructed('node-1', obstacle);
    assert.equal(kube.writes.length, 2);
    const [event] = [...kube.objects.values()];
    assert.equal(event?.['reason'], 'RuntimeNotConfigured');
    assert.equal((event['involvedObject'] as { kind: string }).kind, 'Node');
  });

  it('have a name that the API takes, however long and dotted that of the object is', async () => {
    for (const owner of ['a'.repeat(253), `${'a'.repeat(199)}.b`, `${'a'.repeat(198)}--b`, 'a'])
      await recorder.skipped('apps', podOf(owner), SKIP);
    assert.equal(kube.objects.size, 4);
    for (const { metadata } of kube.objects.values())
      assert.match(metadata.name, /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]+)*$/);
  });

  it('need a name or an owner', async () => {
    await recorder.skipped(
      'apps',
      { metadata: { generateName: 'x-' }, spec: { containers: [] } },
      SKIP,
    );
    assert.equal(kube.writes.length, 0);
  });
});
