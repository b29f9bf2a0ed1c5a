import assert from 'node:assert/strict';
import { endpointView, type EndpointSlice } from '../../../lib/cluster/kubernetes/endpoints.ts';
import { sameView } from '../../../lib/cluster/membership.ts';

const SLICES = 50;
const ENDPOINTS = 100;
const CHANGES = 100;
/** 0.5 % of a core with 100 changes a minute, and as much again for what is not measured here. */
const CPU_MS_PER_CHANGE_MAX = 3;

/** A slice as the endpoint controller writes it; one endpoint may be unready. */
function slice(number: number, unready = -1): EndpointSlice {
  const endpoints = Array.from({ length: ENDPOINTS }, (_, at) => ({
    addresses: [`10.${number}.0.${at}`],
    conditions: { ready: at !== unready, serving: true, terminating: false },
    nodeName: `node-${number}-${at}.region.example`,
    targetRef: {
      kind: 'Pod',
      namespace: 'shoal',
      name: `shoal-agent-${number}-${at}`,
      uid: '0a1b2c3d-0000-1111-2222-333344445555',
    },
    zone: 'region-a',
  }));
  return {
    metadata: {
      name: `shoal-${number}`,
      labels: { 'kubernetes.io/service-name': 'shoal' },
      resourceVersion: String(number),
    },
    ports: [{ name: 'p2p', port: 65_002, protocol: 'TCP' }],
    endpoints,
  };
}

describe('5,000 nodes in EndpointSlices', () => {
  it('cost an agent less than 0.5 % of a core at 100 changes a minute', () => {
    const slices = new Map(Array.from({ length: SLICES }, (_, at) => [at, slice(at)]));
    const events = Array.from({ length: CHANGES }, (_, at) =>
      JSON.stringify({ type: 'MODIFIED', object: slice(at % SLICES, at % ENDPOINTS) }),
    );
    let view = endpointView(slices.values(), 'shoal');
    assert.equal(view.agents.length, SLICES * ENDPOINTS);
    const began = process.cpuUsage();
    for (const [at, event] of events.entries()) {
      slices.set(at % SLICES, (JSON.parse(event) as { object: EndpointSlice }).object);
      const next = endpointView(slices.values(), 'shoal');
      assert.equal(sameView(view, next), false);
      view = next;
    }
    const { user, system } = process.cpuUsage(began);
    const cpuMs = (user + system) / 1_000 / CHANGES;
    console.log(`      ${cpuMs.toFixed(1)} ms and ${events[0]!.length} bytes a change`);
    assert.ok(cpuMs < CPU_MS_PER_CHANGE_MAX, `${cpuMs} ms`);
  });
});
