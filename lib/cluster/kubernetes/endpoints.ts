import { memberAddress, membershipView, type Member, type MembershipView } from '../membership.ts';
import type { KubeObject } from './client.ts';

/** An EndpointSlice of discovery.k8s.io/v1, as far as it is looked at. */
export interface EndpointSlice extends KubeObject {
  endpoints?:
    | {
        addresses?: string[];
        conditions?: { ready?: boolean; terminating?: boolean };
        zone?: string;
        nodeName?: string;
      }[]
    | null;
  ports?: { name?: string; port?: number; protocol?: string }[] | null;
}

/** Label by which a slice names its service. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
/** The port of a service that leads to the p2p port, when it has several. */
const P2P_PORT_NAME = 'p2p';

/**
 * Roots stand behind a service of their own, named after the agents': the convention of the chart,
 * for DNS and EndpointSlices alike.
 */
export function rootService(service: string): string {
  const dot = service.indexOf('.');
  return dot === -1 ? `${service}-root` : `${service.slice(0, dot)}-root${service.slice(dot)}`;
}

/**
 * The view that the slices of `service` (agents) and of its root service give. Only ready endpoints
 * count; one that is leaving is not.
 */
export function endpointView(slices: Iterable<EndpointSlice>, service: string): MembershipView {
  const agents: Member[] = [];
  const roots: Member[] = [];
  for (const slice of slices) {
    const name = slice.metadata.labels?.[SERVICE_NAME_LABEL];
    const members = name === service ? agents : name === rootService(service) ? roots : null;
    const port = p2pPort(slice);
    if (members === null || port === null) continue;
    for (const { addresses, conditions, zone } of slice.endpoints ?? []) {
      const address = addresses?.[0];
      // An absent condition means ready (EndpointConditions of the API reference).
      const isReady = conditions?.ready !== false && conditions?.terminating !== true;
      if (address !== undefined && isReady)
        members.push({
          node: memberAddress(address, port),
          zone: zone === undefined || zone === '' ? null : zone,
        });
    }
  }
  return membershipView(agents, roots);
}

function p2pPort({ ports }: EndpointSlice): number | null {
  const named =
    (ports ?? []).find(({ name }) => name === P2P_PORT_NAME) ??
    (ports?.length === 1 ? ports[0] : undefined);
  return named?.port ?? null;
}
