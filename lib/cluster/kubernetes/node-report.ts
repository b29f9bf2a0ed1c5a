import type { KubeObject } from './client.ts';

/*
 * Each agent pod reports in a Lease of its own namespace for which hosts the container runtime of
 * its node is configured. The webhook reads these reports and rewrites images only to hosts that a
 * pod's node can resolve. The agent pod owns the Lease, so the report goes when the pod goes.
 */

/** Label of the Leases that are reports. */
export const NODE_REPORT_LABEL = 'shoal/node-report';
const HOSTS_ANNOTATION = 'shoal/configured-hosts';
const OBSTACLES_ANNOTATION = 'shoal/obstacles';

/** What one agent pod reports about its node. */
export interface NodeReport {
  readonly node: string;
  /** Hosts whose images the runtime pulls through the agent, sorted. */
  readonly hosts: readonly string[];
  /** What keeps the runtime from using them, one line each; empty when nothing does. */
  readonly obstacles: readonly string[];
}

/** The pod that reports. */
export interface ReportingPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** The Lease for a report. */
export function reportLease(report: NodeReport, pod: ReportingPod): KubeObject {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name: pod.name,
      namespace: pod.namespace,
      labels: { [NODE_REPORT_LABEL]: 'true' },
      annotations: {
        [HOSTS_ANNOTATION]: report.hosts.join(','),
        ...(report.obstacles.length === 0
          ? {}
          : { [OBSTACLES_ANNOTATION]: report.obstacles.join('\n') }),
      },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid }],
    },
    spec: { holderIdentity: report.node },
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
