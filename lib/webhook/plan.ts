import { imageAt, isImageId, parseImage } from './image.ts';
import { keyFitsImage } from './kubelet-keys.ts';
import type { NodeRequirement, Pod } from './pod.ts';
import { isExcluded, p2pTarget, type RegistryRules } from './registry-rule.ts';

/** The place of an image in a pod. */
export type ImageList = 'containers' | 'initContainers' | 'volumes';

export interface Replacement {
  readonly list: ImageList;
  readonly index: number;
  readonly name: string;
  readonly image: string;
  readonly p2pImage: string;
}

/** The changes that admission makes to a pod. */
export interface PodPlan {
  readonly replacements: readonly Replacement[];
  /**
   * Hosts of the registries whose images are replaced. Pull secrets with credentials for them need
   * a copy.
   */
  readonly registryHosts: readonly string[];
  /**
   * The pod's pull secrets, including those of its service account (the API server adds them before
   * it calls the webhook).
   */
  readonly pullSecrets: readonly string[];
}

/** Why an image of an accelerated registry keeps its name, or a whole pod its images. */
export type SkipReason =
  | 'label'
  | 'pull-policy-never'
  | 'image-id'
  | 'excluded-image'
  | 'credential-provider'
  | 'name-too-long'
  | 'host-not-configured'
  | 'windows'
  | 'virtual-node'
  | 'no-node'
  | 'node-not-configured'
  | 'secret-not-copied';

export interface Skip {
  readonly reason: SkipReason;
  /** What the reason is about: images, a host, nodes. */
  readonly detail: string;
}

/** What is known of the nodes a pod may run on. */
export interface NodeKnowledge {
  /**
   * Null when every node that may run the pod resolves `p2pHost`, else why the pod is left alone.
   */
  refusal(pod: Pod, p2pHost: string): Skip | null;
}

/** Every node is taken to be configured for the P2P hosts of the rules. */
const ANY_NODE: NodeKnowledge = { refusal: () => null };

/**
 * What to replace in a pod, and what is left alone although a rule matches it. `plan` is null when
 * nothing is to be replaced. `covered`: the registry hosts that the pod's pull secrets hold
 * credentials for; while that is unknown, secrets are taken to cover every host.
 */
export function surveyPod(
  pod: Pod,
  rules: RegistryRules,
  nodes: NodeKnowledge = ANY_NODE,
  covered?: ReadonlySet<string>,
): { plan: PodPlan | null; skips: Skip[] } {
  const replacements: Replacement[] = [];
  const registryHosts = new Set<string>();
  const p2pHosts = new Set<string>();
  const skips: Skip[] = [];
  const pullSecrets = (pod.spec.imagePullSecrets ?? []).flatMap(({ name }) =>
    name === undefined || name === '' ? [] : [name],
  );
  for (const one of imagesOf(pod)) {
    const found = targetOf(one, (host) => covered?.has(host) ?? pullSecrets.length > 0, rules);
    if (found === null) continue;
    if ('reason' in found) {
      skips.push(found);
      continue;
    }
    const { list, index, name, image } = one;
    replacements.push({ list, index, name, image, p2pImage: found.p2pImage });
    registryHosts.add(found.host);
    p2pHosts.add(found.p2pHost);
  }
  if (replacements.length === 0) return { plan: null, skips };
  const elsewhere = refusalByPod(pod) ?? firstOf(p2pHosts, (host) => nodes.refusal(pod, host));
  if (elsewhere !== null) return { plan: null, skips: [...skips, elsewhere] };
  return {
    plan: {
      replacements,
      registryHosts: [...registryHosts],
      pullSecrets: [...new Set(pullSecrets)],
    },
    skips,
  };
}

/** The plan of `surveyPod` alone. */
export function planPod(pod: Pod, rules: RegistryRules, nodes?: NodeKnowledge): PodPlan | null {
  return surveyPod(pod, rules, nodes).plan;
}

interface PodImage {
  list: ImageList;
  index: number;
  name: string;
  image: string;
  pullPolicy: string | undefined;
}

function imagesOf({ spec }: Pod): PodImage[] {
  const found: PodImage[] = [];
  for (const list of ['containers', 'initContainers'] as const)
    for (const [index, { name, image, imagePullPolicy }] of (spec[list] ?? []).entries())
      if (image !== undefined)
        found.push({ list, index, name, image, pullPolicy: imagePullPolicy });
  for (const [index, { name, image }] of (spec.volumes ?? []).entries())
    if (image?.reference !== undefined)
      found.push({
        list: 'volumes',
        index,
        name,
        image: image.reference,
        pullPolicy: image.pullPolicy,
      });
  return found;
}

/** Null: no rule is about the image. */
function targetOf(
  { image, pullPolicy }: PodImage,
  isCovered: (host: string) => boolean,
  rules: RegistryRules,
): Skip | { host: string; p2pHost: string; p2pImage: string } | null {
  const reference = parseImage(image);
  const target = reference === null ? null : p2pTarget(reference.host, rules);
  if (reference === null || target === null) return null;
  // The node has the image under this name, or does not start the container.
  if (pullPolicy === 'Never') return { reason: 'pull-policy-never', detail: image };
  if (isImageId(image)) return { reason: 'image-id', detail: image };
  if (isExcluded(image, rules)) return { reason: 'excluded-image', detail: image };
  const { credentialProviderImages = [] } = rules;
  if (
    credentialProviderImages.some((glob) => keyFitsImage(glob, reference)) &&
    !isCovered(reference.host)
  )
    return { reason: 'credential-provider', detail: image };
  if (!target.isConfigured) return { reason: 'host-not-configured', detail: target.p2pHost };
  const p2pImage = imageAt(target.p2pHost, reference);
  if (p2pImage === null) return { reason: 'name-too-long', detail: image };
  return { host: reference.host, p2pHost: target.p2pHost, p2pImage };
}

/** Labels, values of a selector and tolerations of pods for nodes that run no agent. */
const OS_LABELS = new Set(['kubernetes.io/os', 'beta.kubernetes.io/os']);
const VIRTUAL_POD_LABELS: [key: string, value: RegExp][] = [
  ['alibabacloud.com/eci', /^true$/],
  ['alibabacloud.com/acs', /^true$/],
  ['eks.amazonaws.com/fargate-profile', /./],
];
const VIRTUAL_SELECTORS: [key: string, value: RegExp][] = [
  ['type', /^virtual-kubelet$/],
  ['kubernetes.azure.com/mode', /^virtual/],
  ['kubernetes.io/role', /^virtual/],
  ['eks.amazonaws.com/compute-type', /^fargate$/],
  ['alibabacloud.com/virtual-node', /^true$/],
];
const VIRTUAL_NODE_NAMES = /^(?:virtual-kubelet|virtual-node|fargate-ip)/;

/** What the pod itself says about the nodes it is meant for. */
function refusalByPod(pod: Pod): Skip | null {
  const { os, nodeName, schedulerName } = pod.spec;
  if (os?.name !== undefined && os.name !== 'linux')
    return { reason: 'windows', detail: `spec.os.name is ${os.name}` };
  const wanted = requirementsOf(pod);
  const otherOs = wanted.find(
    ({ key, values }) => OS_LABELS.has(key) && values.some((value) => value !== 'linux'),
  );
  if (otherOs !== undefined)
    return { reason: 'windows', detail: `${otherOs.key} is ${otherOs.values.join(', ')}` };
  const { labels = {} } = pod.metadata;
  const label = VIRTUAL_POD_LABELS.find(([key, value]) => value.test(labels[key] ?? ''));
  if (label !== undefined) return { reason: 'virtual-node', detail: `label ${label[0]}` };
  if (schedulerName === 'fargate-scheduler')
    return { reason: 'virtual-node', detail: `scheduler ${schedulerName}` };
  const selector = wanted.find(({ key, values }) =>
    VIRTUAL_SELECTORS.some(
      ([known, value]) => known === key && values.some((one) => value.test(one)),
    ),
  );
  if (selector !== undefined)
    return { reason: 'virtual-node', detail: `${selector.key} is ${selector.values.join(', ')}` };
  if (nodeName !== undefined && VIRTUAL_NODE_NAMES.test(nodeName))
    return { reason: 'virtual-node', detail: `node ${nodeName}` };
  return null;
}

/** What selector and required affinity ask of node labels, by value; alternatives count alike. */
function requirementsOf({ spec }: Pod): { key: string; values: string[] }[] {
  const selector = Object.entries(spec.nodeSelector ?? {}).map(([key, value]) => ({
    key,
    values: [value],
  }));
  const terms =
    spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
      ?.nodeSelectorTerms ?? [];
  const affinity = terms
    .flatMap(({ matchExpressions }): NodeRequirement[] => matchExpressions ?? [])
    .filter(({ operator }) => operator === 'In')
    .map(({ key, values }) => ({ key, values: values ?? [] }));
  return [...selector, ...affinity];
}

function firstOf<T, R>(values: Iterable<T>, look: (value: T) => R | null): R | null {
  for (const value of values) {
    const found = look(value);
    if (found !== null) return found;
  }
  return null;
}
