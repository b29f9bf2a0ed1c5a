import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import {
  LEASES,
  NODES,
  type KubeClient,
  type KubeError,
  type KubeObject,
} from '../cluster/kubernetes/client.ts';
import { Informer } from '../cluster/kubernetes/informer.ts';
import { NODE_REPORT_LABEL, reportOf, type NodeReport } from '../cluster/kubernetes/node-report.ts';
import { NODE_ANSWERS_MAX } from './limits.ts';
import type { NodeKnowledge, Skip } from './plan.ts';
import type { NodeRequirement, NodeSelectorTerm, Pod } from './pod.ts';

/** A node by its name and labels. */
export interface KnownNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

interface NodeSurveyOptions {
  client: KubeClient;
  clock: Clock;
  random: () => number;
  /** Namespace of the agents. */
  namespace: string;
  /**
   * Whether new nodes admit no pod before their agent is ready (the chart's startup taint). Without
   * it, a pod that fits no present node is left alone.
   */
  newNodesWait: boolean;
  /** Told of the number of nodes that are configured, and of the reports of those that are not. */
  onChange: (configured: number, obstructed: readonly NodeReport[]) => void;
  onError: (error: KubeError) => void;
}

/**
 * Watches the nodes of the cluster and what their agents report, to answer whether every node that
 * may run a pod resolves a P2P host.
 */
export class NodeSurvey implements NodeKnowledge {
  readonly #nodes: Informer<KubeObject>;
  readonly #leases: Informer<KubeObject>;
  readonly #newNodesWait: boolean;
  /** Rebuilt after a change of a node or a report. */
  #known: Knowledge | null = null;

  constructor(options: NodeSurveyOptions) {
    this.#newNodesWait = options.newNodesWait;
    const { onChange, namespace } = options;
    this.#nodes = new Informer(
      { resource: NODES, namespace: null, metadataOnly: true },
      { ...options, onChange: () => (this.#known = null) },
    );
    this.#leases = new Informer(
      { resource: LEASES, namespace, labelSelector: `${NODE_REPORT_LABEL} in (true)` },
      {
        ...options,
        onChange: () => {
          this.#known = null;
          const reports = [...this.#knowledge().reports.values()];
          const obstructed = reports.filter(({ obstacles }) => obstacles.length > 0);
          onChange(reports.length - obstructed.length, obstructed);
        },
      },
    );
  }

  get isSynced(): boolean {
    return this.#nodes.isSynced && this.#leases.isSynced;
  }

  start(): void {
    this.#nodes.start();
    this.#leases.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#nodes.stop(), this.#leases.stop()]);
  }

  refusal(pod: Pod, p2pHost: string): Skip | null {
    const { nodes, reports, answers } = this.#knowledge();
    // Pods of one workload ask the same; thousands of nodes are not looked through for each.
    const { nodeName, nodeSelector, affinity, tolerations } = pod.spec;
    const question = JSON.stringify([
      p2pHost,
      nodeName,
      nodeSelector,
      affinity?.nodeAffinity,
      tolerations,
    ]);
    let answer = answers.get(question);
    if (answer === undefined) {
      answer = { refusal: nodeRefusal(pod, p2pHost, nodes, reports, this.#newNodesWait) };
      answers.set(question, answer);
    }
    return answer.refusal;
  }

  #knowledge(): Knowledge {
    if (this.#known !== null) return this.#known;
    const nodes = [...this.#nodes.objects()].map(({ metadata }) => ({
      name: metadata.name,
      labels: metadata.labels ?? {},
    }));
    const reports = new Map<string, NodeReport>();
    for (const lease of this.#leases.objects()) {
      const report = reportOf(lease);
      if (report !== null) reports.set(report.node, report);
    }
    const answers = new LRUCache<string, Answer>({ max: NODE_ANSWERS_MAX });
    this.#known = { nodes, reports, answers };
    return this.#known;
  }
}

interface Answer {
  readonly refusal: Skip | null;
}

interface Knowledge {
  readonly nodes: readonly KnownNode[];
  readonly reports: ReadonlyMap<string, NodeReport>;
  /** By what a pod asks of its nodes. */
  readonly answers: LRUCache<string, Answer>;
}

/**
 * Why a pod keeps its images because of its nodes; null when every node that fits its node name,
 * selector and required affinity is configured for `p2pHost`. Taints and free capacity are not
 * looked at, so the answer is on the safe side.
 */
export function nodeRefusal(
  pod: Pod,
  p2pHost: string,
  nodes: readonly KnownNode[],
  reports: ReadonlyMap<string, NodeReport>,
  newNodesWait: boolean,
): Skip | null {
  const fitting = nodes.filter((node) => fits(pod, node));
  if (fitting.length === 0) {
    const nodeName = pod.spec.nodeName;
    if (nodeName !== undefined) return { reason: 'no-node', detail: `node ${nodeName}` };
    return newNodesWait ? null : { reason: 'no-node', detail: 'selector or affinity' };
  }
  for (const { name } of fitting) {
    const report = reports.get(name);
    if (report === undefined)
      return { reason: 'node-not-configured', detail: `${name}: no report of an agent` };
    if (report.obstacles.length > 0)
      return { reason: 'node-not-configured', detail: `${name}: ${report.obstacles[0]!}` };
    if (!report.hosts.includes(p2pHost))
      return { reason: 'node-not-configured', detail: `${name}: ${p2pHost} is not configured` };
  }
  return null;
}

/** Labels of nodes on which a pod runs only if it asks for them; such nodes carry taints. */
const VIRTUAL_NODE_LABELS: [key: string, value: string][] = [
  ['type', 'virtual-kubelet'],
  ['eks.amazonaws.com/compute-type', 'fargate'],
  ['kubernetes.io/os', 'windows'],
];

/** Whether a pod may be scheduled to a node, by name, selector and required affinity. */
export function fits(pod: Pod, node: KnownNode): boolean {
  const { nodeName, nodeSelector = {}, affinity, tolerations = [] } = pod.spec;
  if (nodeName !== undefined) return nodeName === node.name;
  for (const [key, value] of Object.entries(nodeSelector))
    if (node.labels[key] !== value) return false;
  const terms =
    affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  if (terms.length > 0 && !terms.some((term) => termFits(term, node))) return false;
  const isSpecial = VIRTUAL_NODE_LABELS.some(([key, value]) => node.labels[key] === value);
  // A toleration of everything, or of a virtual node's taint, lets the pod onto such nodes.
  return (
    !isSpecial ||
    tolerations.some(({ key = '' }) => key === '' || /virtual-kubelet|fargate/.test(key))
  );
}

/** Terms without requirements match nothing (Kubernetes API reference, NodeSelectorTerm). */
function termFits({ matchExpressions, matchFields }: NodeSelectorTerm, node: KnownNode): boolean {
  const [expressions, fields] = [matchExpressions ?? [], matchFields ?? []];
  return (
    expressions.length + fields.length > 0 &&
    expressions.every((requirement) =>
      requirementFits(requirement, node.labels[requirement.key]),
    ) &&
    fields.every((requirement) =>
      requirementFits(requirement, requirement.key === 'metadata.name' ? node.name : undefined),
    )
  );
}

function requirementFits(
  { operator, values }: NodeRequirement,
  actual: string | undefined,
): boolean {
  const wanted = values ?? [];
  switch (operator) {
    case 'In':
      return actual !== undefined && wanted.includes(actual);
    case 'NotIn':
      return actual === undefined || !wanted.includes(actual);
    case 'Exists':
      return actual !== undefined;
    case 'DoesNotExist':
      return actual === undefined;
    case 'Gt':
      return Number(actual) > Number(wanted[0]);
    case 'Lt':
      return Number(actual) < Number(wanted[0]);
    default:
      return true;
  }
}
