import {
  byNode,
  memberAddress,
  membershipView,
  type Member,
  type MembershipView,
} from '../membership.ts';
import type { KubeObject } from './client.ts';

/** The fields of an EndpointSlice (discovery.k8s.io/v1) in use. */
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

/** Label that names the service of a slice. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
/** Name of the p2p port in a service with several ports. */
const P2P_PORT_NAME = 'p2p';

/**
 * Roots have their own service, named after the agents' service. The chart uses this convention,
 * for DNS and EndpointSlices alike.
 */
export function rootService(service: string): string {
  const dot = service.indexOf('.');
  return dot === -1 ? `${service}-root` : `${service.slice(0, dot)}-root${service.slice(dot)}`;
}

/**
 * The view from the slices of `service` (agents) and of its root service. Only endpoints that are
 * ready and not terminating count.
 */
export function endpointView(slices: Iterable<EndpointSlice>, service: string): MembershipView {
  const agents: Member[] = [];
  const roots: Member[] = [];
  for (const slice of slices) {
    const name = slice.metadata.labels?.[SERVICE_NAME_LABEL];
    const members = name === service ? agents : name === rootService(service) ? roots : null;
    if (members !== null) members.push(...membersOf(slice));
  }
  return membershipView(agents, roots);
}

/**
 * Members by slice, sorted: a change replaces one slice of many, slices are never modified, and
 * sorted parts are cheap to merge.
 */
const known = new WeakMap<EndpointSlice, Member[]>();

function membersOf(slice: EndpointSlice): Member[] {
  let members = known.get(slice);
  if (members === undefined) known.set(slice, (members = readMembers(slice)));
  return members;
}

function readMembers(slice: EndpointSlice): Member[] {
  const port = p2pPort(slice);
  if (port === null) return [];
  const members: Member[] = [];
  for (const { addresses, conditions, zone } of slice.endpoints ?? []) {
    const address = addresses?.[0];
    // An absent condition means ready (API reference, EndpointConditions).
    const isReady = conditions?.ready !== false && conditions?.terminating !== true;
    if (address !== undefined && isReady)
      members.push({
        node: memberAddress(address, port),
        zone: zone === undefined || zone === '' ? null : zone,
      });
  }
  return members.sort(byNode);
}

function p2pPort({ ports }: EndpointSlice): number | null {
  const named =
    (ports ?? []).find(({ name }) => name === P2P_PORT_NAME) ??
    (ports?.length === 1 ? ports[0] : undefined);
  return named?.port ?? null;
}
