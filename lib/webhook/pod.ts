import { ShoalError } from '../errors.ts';

/** A container of a pod. */
export interface Container {
  name: string;
  image?: string;
  imagePullPolicy?: string;
}

/** A volume; one with `image` mounts an image (Kubernetes, "Image volumes"). */
interface Volume {
  name: string;
  image?: { reference?: string; pullPolicy?: string };
}

export interface NodeSelectorTerm {
  matchExpressions?: NodeRequirement[] | null;
  matchFields?: NodeRequirement[] | null;
}

export interface NodeRequirement {
  key: string;
  operator: string;
  values?: string[] | null;
}

/** The parts of a pod that the webhook reads. */
export interface Pod {
  metadata: {
    name?: string;
    generateName?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    ownerReferences?: OwnerReference[];
  };
  spec: {
    containers: Container[];
    initContainers?: Container[];
    volumes?: Volume[];
    imagePullSecrets?: { name?: string }[];
    os?: { name?: string };
    nodeName?: string;
    nodeSelector?: Record<string, string>;
    schedulerName?: string;
    tolerations?: { key?: string; operator?: string }[];
    affinity?: {
      nodeAffinity?: {
        requiredDuringSchedulingIgnoredDuringExecution?: {
          nodeSelectorTerms?: NodeSelectorTerm[] | null;
        };
      };
    };
  };
}

interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
}

/**
 * Reads the object of a review as a pod. Fields that a patch touches are checked; the API server
 * has checked the rest.
 * @throws ShoalError BAD_REQUEST when it is not a pod.
 */
export function readPod(value: unknown): Pod {
  const pod = record(value);
  const [metadata, spec] = [record(pod?.metadata), record(pod?.spec)];
  if (metadata === null || spec === null) throw notAPod('metadata or spec is missing');
  if (!isList(spec.containers, isContainer)) throw notAPod('spec.containers');
  for (const [field, check] of [
    ['initContainers', isContainer],
    ['volumes', isVolume],
    ['imagePullSecrets', isRecord],
  ] as const)
    if (!isAbsent(spec[field]) && !isList(spec[field], check)) throw notAPod(`spec.${field}`);
  for (const field of ['labels', 'annotations'] as const)
    if (!isAbsent(metadata[field]) && record(metadata[field]) === null)
      throw notAPod(`metadata.${field}`);
  // The API treats an absent list and a null list alike, but a JSON patch that appends to the list
  // does not.
  return {
    metadata: present(metadata, METADATA_FIELDS),
    spec: present(spec, SPEC_FIELDS),
  } as unknown as Pod;
}

const METADATA_FIELDS = ['name', 'generateName', 'labels', 'annotations', 'ownerReferences'];
const SPEC_FIELDS = [
  'containers',
  'initContainers',
  'volumes',
  'imagePullSecrets',
  'os',
  'nodeName',
  'nodeSelector',
  'schedulerName',
  'tolerations',
  'affinity',
];

/** The value as an object; null for anything else. */
export function record(value: unknown): Record<string, unknown> | null {
  return isRecord(value) ? value : null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isContainer(value: unknown): boolean {
  const container = record(value);
  return typeof container?.name === 'string' && isOptionalText(container.image);
}

function isVolume(value: unknown): boolean {
  const volume = record(value);
  if (typeof volume?.name !== 'string') return false;
  return isAbsent(volume.image) || isOptionalText(record(volume.image)?.reference);
}

function isOptionalText(value: unknown): boolean {
  return value === undefined || typeof value === 'string';
}

function isList(value: unknown, check: (entry: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(check);
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function present(
  source: Record<string, unknown>,
  fields: readonly string[],
): Record<string, unknown> {
  return Object.fromEntries(
    fields.flatMap((field) => (isAbsent(source[field]) ? [] : [[field, source[field]]])),
  );
}

function notAPod(what: string): ShoalError {
  return new ShoalError('BAD_REQUEST', `not a pod: ${what}`);
}
