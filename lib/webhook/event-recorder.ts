import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import { EVENTS, type KubeClient, type KubeObject } from '../cluster/kubernetes/client.ts';
import { EVENT_REPEAT_MS, EVENTS_AT_ONCE, EVENTS_REMEMBERED } from './limits.ts';
import type { Skip } from './plan.ts';
import type { Pod } from './pod.ts';

interface EventRecorderOptions {
  client: KubeClient;
  clock: Clock;
  /** Reported as the source of the events. */
  component: string;
  onError: (error: unknown) => void;
  /** Called for an event that was not sent because too many are in flight. */
  onDrop: () => void;
}

/** The object an event is about. */
interface Reference {
  apiVersion: string;
  kind: string;
  /** Left out for objects without one. */
  namespace?: string;
  name: string;
  uid?: string;
}

/**
 * Writes Events that say why a pod keeps its images, and which nodes are not configured. A pod has
 * no name yet when it is reviewed, so
 * the event is about its controller, if it has one. Each reason is reported once per object and
 * EVENT_REPEAT_MS. Events are best effort: a failure is logged and changes nothing.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #recent = new LRUCache<string, number>({ max: EVENTS_REMEMBERED });
  #inFlight = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  /** Resolves when the event is written or given up; admission does not wait for it. */
  async skipped(namespace: string, pod: Pod, { reason, detail }: Skip): Promise<void> {
    const about = subjectOf(namespace, pod);
    if (about === null) return;
    const message = `${EXPLANATIONS[reason]}: ${detail}`;
    await this.#write(about, reason, 'ImageNotAccelerated', 'Normal', message);
  }

  /** The runtime of a node does not use the agent there. */
  async obstructed(node: string, obstacle: string): Promise<void> {
    const about = { apiVersion: 'v1', kind: 'Node', name: node, uid: node };
    await this.#write(about, obstacle, 'RuntimeNotConfigured', 'Warning', obstacle);
  }

  async #write(
    about: Reference,
    topic: string,
    reason: string,
    type: 'Normal' | 'Warning',
    message: string,
  ): Promise<void> {
    const { client, clock, onError, onDrop } = this.#options;
    const key = `${about.namespace ?? ''}/${about.kind}/${about.name}/${topic}`;
    const nowMs = clock.nowMs();
    if (nowMs - (this.#recent.get(key) ?? -Infinity) < EVENT_REPEAT_MS) return;
    if (this.#inFlight >= EVENTS_AT_ONCE) return onDrop();
    this.#recent.set(key, nowMs);
    this.#inFlight += 1;
    try {
      await client.create(EVENTS, this.#event(about, reason, type, message));
    } catch (error) {
      onError(error);
    } finally {
      this.#inFlight -= 1;
    }
  }

  #event(about: Reference, reason: string, type: string, message: string): KubeObject {
    const { clock, component } = this.#options;
    const now = new Date(clock.wallMs()).toISOString();
    const suffix = Math.floor(clock.wallMs()).toString(16) + this.#recent.size.toString(16);
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: {
        // A cut name must not end in a dot or a hyphen.
        name: `${about.name.slice(0, 200).replace(/[^a-z0-9]+$/, '')}.${suffix}`,
        // The API takes events about objects without a namespace in `default`.
        namespace: about.namespace ?? 'default',
      },
      involvedObject: about,
      reason,
      message: message.slice(0, 1_000),
      type,
      source: { component },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    };
  }
}

/** What each reason means, in the words of the Event. */
const EXPLANATIONS: Record<Skip['reason'], string> = {
  label: "the pod's own label switches acceleration off",
  'pull-policy-never': 'imagePullPolicy Never: the node must have the image under its own name',
  'image-id': 'images named by ID are never pulled',
  'excluded-image': 'excluded by the value webhook.excludedImages',
  'credential-provider':
    'no pull secret for it, and the credential provider of the kubelet does not know P2P hosts',
  'name-too-long': 'the P2P image name would be too long for container runtimes',
  'host-not-configured': 'the chart does not configure nodes for this P2P host',
  windows: 'pods for other systems than Linux run where there is no agent',
  'virtual-node': 'virtual nodes run no agent',
  'no-node': 'no node fits the pod yet, so nothing is known about its runtime',
  'node-not-configured': 'a node that may run the pod cannot resolve the P2P host',
  'secret-not-copied':
    'the labels of the namespace do not allow a copy of a pull secret the image needs; ' +
    'label it shoal/pull-secret-copies=allow',
};

function subjectOf(namespace: string, { metadata }: Pod): Reference | null {
  const owner =
    metadata.ownerReferences?.find(({ controller }) => controller === true) ??
    metadata.ownerReferences?.[0];
  if (owner !== undefined)
    return {
      apiVersion: owner.apiVersion,
      kind: owner.kind,
      namespace,
      name: owner.name,
      uid: owner.uid,
    };
  const { name } = metadata;
  return name === undefined ? null : { apiVersion: 'v1', kind: 'Pod', namespace, name };
}
