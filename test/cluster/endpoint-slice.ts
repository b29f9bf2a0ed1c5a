import type { EndpointSlice } from '../../lib/cluster/kubernetes/endpoints.ts';

/**
 * The slice of a headless service in namespace `shoal` as the endpoint controller would write it,
 * all endpoints ready.
 */
export function endpointSlice(
  service: string,
  addresses: string[],
  more: object = {},
): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${service}-abc`,
      namespace: 'shoal',
      labels: { 'kubernetes.io/service-name': service },
    },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [
      { name: 'p2p', port: 65_002, protocol: 'TCP' },
      { name: 'metrics', port: 65_003, protocol: 'TCP' },
    ],
    ...more,
  };
}
