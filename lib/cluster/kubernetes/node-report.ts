import type { KubeObject } from './client.ts';

/*
 * The agent of each node reports in a Lease of its own namespace for which hosts the node's
 * container runtime is configured. The webhook reads these reports and rewrites images only to
 * hosts that a pod's node can resolve. The files of P2P hosts stay on a node while its agent is
 * replaced, and so does the report; the Node owns it.
 */

/** Label of the Leases that are reports. */
export const NODE_REPORT_LABEL = 'shoal/node-report';
const HOSTS_ANNOTATION = 'shoal/configured-hosts';
const OBSTACLES_ANNOTATION = 'shoal/obstacles';

/** What is reported about a node. */
export interface NodeReport {
  readonly node: string;
  /** Hosts whose images the runtime pulls through the agent, sorted. */
  readonly hosts: readonly string[];
  /** What keeps the runtime from using them, one line each; empty when nothing does. */
  readonly obstacles: readonly string[];
}

/** Where a node's report is kept. */
export interface ReportPlace {
  /** Namespace of the agents. */
  readonly namespace: string;
  /** `metadata.uid` of the Node; null when it is not known, and the Lease has no owner. */
  readonly nodeUid: string | null;
}

const LEASE_NAME_CHARS_MAX = 253;

/** Name of the Lease for a node. */
export function reportName(node: string): string {
  return `node.${node}`.slice(0, LEASE_NAME_CHARS_MAX);
}

/** The Lease for a report. */
export function reportLease(report: NodeReport, { namespace, nodeUid }: ReportPlace): KubeObject {
  const { node, hosts, obstacles } = report;
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name: reportName(node),
      namespace,
      labels: { [NODE_REPORT_LABEL]: 'true' },
      annotations: {
        [HOSTS_ANNOTATION]: hosts.join(','),
        ...(obstacles.length === 0 ? {} : { [OBSTACLES_ANNOTATION]: obstacles.join('\n') }),
      },
      ...(nodeUid === null
        ? {}
        : { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: node, uid: nodeUid }] }),
    },
    spec: { holderIdentity: node },
  };
}

/** The report in a Lease; null when it is not one. */
export function reportOf(lease: KubeObject): NodeReport | null {
  const { labels, annotations } = lease.metadata;
  const node = (lease['spec'] as { holderIdentity?: unknown } | undefined)?.holderIdentity;
  if (labels?.[NODE_REPORT_LABEL] !== 'true' || typeof node !== 'string') return null;
  const list = (text: string | undefined, separator: string): string[] =>
    (text ?? '').split(separator).filter((entry) => entry !== '');
  return {
    node,
    hosts: list(annotations?.[HOSTS_ANNOTATION], ','),
    obstacles: list(annotations?.[OBSTACLES_ANNOTATION], '\n'),
  };
}
