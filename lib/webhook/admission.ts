import { ShoalError } from '../errors.ts';
import { ANNOTATIONS_BYTES_MAX } from './limits.ts';
import { imageAt, parseImage } from './image.ts';
import { p2pHostOf, type RegistryRules } from './registry-rule.ts';

/**
 * Label on pods and namespaces that turns acceleration on, and annotation on rewritten pods
 * (docs/SPEC.md).
 */
export const MODE_KEY = 'k8s.aliyun.com/image-accelerate-mode';
export const MODE_P2P = 'p2p';
/** Annotation that lists what was replaced. */
export const P2P_CONFIG_ANNOTATION = 'k8s.aliyun.com/p2p-config';

/**
 * The webhook entry that received a review: `pod` matches labelled pods, `namespace` matches
 * labelled namespaces.
 */
export type WebhookEntry = 'pod' | 'namespace';

interface Container {
  name: string;
  image?: string;
}

/** The parts of a pod that the webhook reads. */
export interface Pod {
  metadata: { labels?: Record<string, string>; annotations?: Record<string, string> };
  spec: {
    containers: Container[];
    initContainers?: Container[];
    imagePullSecrets?: { name?: string }[];
  };
}

/** The fields of an AdmissionReview request that the webhook uses. */
export interface PodReview {
  readonly uid: string;
  readonly namespace: string;
  readonly dryRun: boolean;
  /** Null when the review is not about the creation of a pod. */
  readonly pod: Pod | null;
}

export interface Replacement {
  readonly list: 'containers' | 'initContainers';
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

/** A pull secret and its copy. */
export interface SecretPair {
  readonly name: string;
  readonly p2pName: string;
}

export interface PatchOperation {
  op: 'add' | 'replace';
  path: string;
  value: unknown;
}

/**
 * Reads the request of an AdmissionReview (admission.k8s.io/v1).
 * @throws ShoalError BAD_REQUEST when the body is not an AdmissionReview or its object is not a
 * pod.
 */
export function readReview(body: unknown): PodReview {
  const request = record(record(body)?.request);
  if (
    record(body)?.apiVersion !== 'admission.k8s.io/v1' ||
    request === null ||
    typeof request.uid !== 'string'
  )
    throw malformed('not an AdmissionReview of admission.k8s.io/v1');
  const { uid, namespace, operation, dryRun } = request;
  const resource = record(request.resource);
  const isPodCreation =
    operation === 'CREATE' &&
    resource?.group === '' &&
    resource.resource === 'pods' &&
    !request.subResource;
  const pod = isPodCreation ? readPod(request.object) : null;
  if (pod !== null && typeof namespace !== 'string') throw malformed('the pod has no namespace');
  return {
    uid,
    namespace: typeof namespace === 'string' ? namespace : '',
    dryRun: dryRun === true,
    pod,
  };
}

/**
 * Whether to accelerate a pod that arrived at `entry`. The pod's own label decides; without one,
 * the namespace's label does (the API server has matched it).
 */
export function isAccelerated(pod: Pod, entry: WebhookEntry): boolean {
  // The mirror pod of a static pod must stay identical to the manifest on the node, or the kubelet
  // kills it.
  if (pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined) return false;
  const own = pod.metadata.labels?.[MODE_KEY];
  return own === undefined ? entry === 'namespace' : own === MODE_P2P;
}

/**
 * What is to be replaced in a pod; null when nothing is: images of no configured registry, or P2P
 * addresses already.
 */
export function planPod(pod: Pod, rules: RegistryRules): PodPlan | null {
  const replacements: Replacement[] = [];
  const registryHosts = new Set<string>();
  for (const list of ['containers', 'initContainers'] as const) {
    for (const [index, { name, image }] of (pod.spec[list] ?? []).entries()) {
      const reference = image === undefined ? null : parseImage(image);
      const p2pHost = reference === null ? null : p2pHostOf(reference.host, rules);
      const p2pImage = reference === null || p2pHost === null ? null : imageAt(p2pHost, reference);
      if (p2pImage === null) continue;
      replacements.push({ list, index, name, image: image!, p2pImage });
      registryHosts.add(reference!.host);
    }
  }
  if (replacements.length === 0) return null;
  const names = (pod.spec.imagePullSecrets ?? []).flatMap(({ name }) =>
    name === undefined || name === '' ? [] : [name],
  );
  return { replacements, registryHosts: [...registryHosts], pullSecrets: [...new Set(names)] };
}

/**
 * The JSON patch (RFC 6902) for a plan.
 * @throws ShoalError BAD_REQUEST when the pod's annotations would exceed the API's limit; the API
 * server would then refuse the pod.
 */
export function podPatch(
  pod: Pod,
  plan: PodPlan,
  secrets: readonly SecretPair[],
): PatchOperation[] {
  const patch: PatchOperation[] = plan.replacements.map(({ list, index, p2pImage }) => ({
    op: 'replace',
    path: `/spec/${list}/${index}/image`,
    value: p2pImage,
  }));
  const present = pod.spec.imagePullSecrets;
  const added = secrets
    .filter(({ p2pName }) => !present?.some(({ name }) => name === p2pName))
    .map(({ p2pName }) => ({ name: p2pName }));
  if (present === undefined && added.length > 0)
    patch.push({ op: 'add', path: '/spec/imagePullSecrets', value: added });
  else
    for (const value of added) patch.push({ op: 'add', path: '/spec/imagePullSecrets/-', value });

  const annotations = {
    [MODE_KEY]: MODE_P2P,
    [P2P_CONFIG_ANNOTATION]: p2pConfig(pod, plan, secrets),
  };
  const all = { ...pod.metadata.annotations, ...annotations };
  const bytes = Object.entries(all).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(String(value)),
    0,
  );
  if (bytes > ANNOTATIONS_BYTES_MAX)
    throw new ShoalError(
      'BAD_REQUEST',
      `the annotations would take ${bytes} bytes; the limit is ${ANNOTATIONS_BYTES_MAX}`,
    );
  if (pod.metadata.annotations === undefined)
    patch.push({ op: 'add', path: '/metadata/annotations', value: annotations });
  else
    for (const [key, value] of Object.entries(annotations))
      patch.push({ op: 'add', path: `/metadata/annotations/${pointerToken(key)}`, value });
  return patch;
}

/** The AdmissionReview response for `uid`: always allowed, with a patch if there is one. */
export function reviewAnswer(uid: string, patch: PatchOperation[] | null): object {
  const change =
    patch === null
      ? {}
      : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') };
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid, allowed: true, ...change },
  };
}

/**
 * The value of the p2p-config annotation. A later pass over the same pod merges with the entries of
 * an earlier one.
 */
function p2pConfig(pod: Pod, plan: PodPlan, secrets: readonly SecretPair[]): string {
  const earlier = readP2pConfig(pod.metadata.annotations?.[P2P_CONFIG_ANNOTATION]);
  const merged = (list: string, entries: { name: string }[]): { name: string }[] => [
    ...(earlier[list] ?? []).filter((before) => !entries.some(({ name }) => name === before.name)),
    ...entries,
  ];
  const replaced = (list: string) =>
    plan.replacements
      .filter((one) => one.list === list)
      .map(({ name, image, p2pImage }) => ({ name, image, p2pImage }));
  const config: Record<string, object[]> = {
    containers: merged('containers', replaced('containers')),
    initContainers: merged('initContainers', replaced('initContainers')),
    imagePullSecrets: merged(
      'imagePullSecrets',
      secrets.map(({ name, p2pName }) => ({ name, p2pName })),
    ),
  };
  return JSON.stringify(
    Object.fromEntries(Object.entries(config).filter(([, entries]) => entries.length > 0)),
  );
}

function readP2pConfig(annotation: unknown): Record<string, { name: string }[]> {
  if (typeof annotation !== 'string') return {};
  try {
    const config = record(JSON.parse(annotation)) ?? {};
    const named = (value: unknown): value is { name: string } =>
      typeof record(value)?.name === 'string';
    return Object.fromEntries(
      Object.entries(config).map(([list, entries]) => [
        list,
        Array.isArray(entries) ? entries.filter(named) : [],
      ]),
    );
  } catch {
    return {};
  }
}

function readPod(value: unknown): Pod {
  const pod = record(value);
  const [metadata, spec] = [record(pod?.metadata), record(pod?.spec)];
  const areNamed = (list: unknown): boolean =>
    Array.isArray(list) && list.every((entry) => record(entry) !== null);
  const isContainer = (entry: Record<string, unknown>): boolean =>
    typeof entry.name === 'string' && ['undefined', 'string'].includes(typeof entry.image);
  const lists = [spec?.containers, spec?.initContainers ?? []];
  if (
    metadata === null ||
    spec === null ||
    !lists.every((list) => areNamed(list) && (list as Record<string, unknown>[]).every(isContainer))
  )
    throw malformed('not a pod');
  const absent = (field: unknown): boolean => field === undefined || field === null;
  if (!absent(spec.imagePullSecrets) && !areNamed(spec.imagePullSecrets))
    throw malformed('not a pod: imagePullSecrets');
  for (const field of ['labels', 'annotations'] as const) {
    if (!absent(metadata[field]) && record(metadata[field]) === null)
      throw malformed(`not a pod: ${field}`);
  }
  const { labels, annotations } = metadata as Pod['metadata'];
  const { containers, initContainers, imagePullSecrets } = spec as unknown as Pod['spec'];
  // The API treats an absent list and a null list alike, but a JSON patch that appends to the list
  // does not.
  const given = <Key extends string, Value>(key: Key, field: Value | null | undefined) =>
    absent(field) ? {} : { [key]: field };
  return {
    metadata: { ...given('labels', labels), ...given('annotations', annotations) },
    spec: {
      containers,
      ...given('initContainers', initContainers),
      ...given('imagePullSecrets', imagePullSecrets),
    },
  };
}

function record(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

/** Escapes a key for use in a JSON pointer (RFC 6901, section 3). */
function pointerToken(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

function malformed(what: string): ShoalError {
  return new ShoalError('BAD_REQUEST', what);
}
