import { ShoalError } from '../errors.ts';
import { ANNOTATIONS_BYTES_MAX } from './limits.ts';
import type { ImageList, PodPlan, Skip } from './plan.ts';
import { readPod, record, type Pod } from './pod.ts';

export { planPod, type PodPlan, type Replacement } from './plan.ts';
export type { Pod } from './pod.ts';

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

/** The fields of an AdmissionReview request that the webhook uses. */
export interface PodReview {
  readonly uid: string;
  readonly namespace: string;
  readonly dryRun: boolean;
  /** Null when the review is not about the creation of a pod. */
  readonly pod: Pod | null;
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

/** A label of the pod that is neither `p2p` nor plainly "off": it may be meant to switch it on. */
export function mislabelled({ metadata }: Pod): Skip[] {
  const own = metadata.labels?.[MODE_KEY];
  if (own === undefined || own === MODE_P2P || OFF.has(own)) return [];
  const detail =
    `${MODE_KEY} is "${own}"; set it to "${MODE_P2P}" on the pod template, ` +
    'or to "off" if that is what is meant';
  return [{ reason: 'label', detail }];
}

const OFF = new Set(['', 'off', 'none', 'no', 'false', 'disabled', 'origin']);

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
    path: `/spec/${list}/${index}/${list === 'volumes' ? 'image/reference' : 'image'}`,
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
  const replaced = (list: ImageList) =>
    plan.replacements
      .filter((one) => one.list === list)
      .map(({ name, image, p2pImage }) => ({ name, image, p2pImage }));
  const config: Record<string, object[]> = {
    containers: merged('containers', replaced('containers')),
    initContainers: merged('initContainers', replaced('initContainers')),
    volumes: merged('volumes', replaced('volumes')),
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

/** Escapes a key for use in a JSON pointer (RFC 6901, section 3). */
function pointerToken(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

function malformed(what: string): ShoalError {
  return new ShoalError('BAD_REQUEST', what);
}
