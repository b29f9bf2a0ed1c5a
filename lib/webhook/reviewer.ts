import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { SECRETS, type KubeClient } from '../cluster/kubernetes/client.ts';
import { ShoalError } from '../errors.ts';
import { ADMISSION_DEADLINE_MS } from './limits.ts';
import {
  isAccelerated,
  mislabelled,
  podPatch,
  readReview,
  reviewAnswer,
  type PatchOperation,
  type PodReview,
  type SecretPair,
  type WebhookEntry,
} from './admission.ts';
import type { CopyKeeper } from './copy-keeper.ts';
import type { CopyPolicy } from './namespace-survey.ts';
import type { EventRecorder } from './event-recorder.ts';
import type { WebhookMetrics } from './metrics.ts';
import { surveyPod, type NodeKnowledge, type Skip } from './plan.ts';
import {
  copyName,
  holdsCredentialsFor,
  isCopy,
  pullSecretCopy,
  type Secret,
} from './pull-secret.ts';
import { p2pHostOf, type RegistryRules } from './registry-rule.ts';
import type { SecretStore } from './secret-store.ts';

interface ReviewerOptions {
  rules: RegistryRules;
  store: SecretStore;
  keeper: CopyKeeper;
  policy: CopyPolicy;
  client: KubeClient;
  clock: Clock;
  log: Logger;
  nodes?: NodeKnowledge;
  metrics?: WebhookMetrics;
  events?: EventRecorder;
}

/** The patch of a pod (null: none) with what is left alone. */
interface Review {
  patch: PatchOperation[] | null;
  images: number;
  skips: readonly Skip[];
}

/**
 * Answers admission reviews. A pod is rewritten as a whole and only when its copied pull secrets
 * are in place. On any failure it is admitted unchanged and pulls from the registry.
 */
export class Reviewer {
  readonly #options: ReviewerOptions;

  constructor(options: ReviewerOptions) {
    this.#options = options;
  }

  /**
   * Answers an AdmissionReview (parsed JSON). Never rejects; takes at most ADMISSION_DEADLINE_MS.
   */
  async answer(body: unknown, entry: WebhookEntry): Promise<object> {
    const { clock, log, metrics } = this.#options;
    const beganMs = clock.nowMs();
    let review: PodReview;
    try {
      review = readReview(body);
    } catch (error) {
      log.warn({ err: error }, 'invalid admission review');
      metrics?.reviewed('failed', 0, 0);
      return reviewAnswer(uidOf(body), null);
    }
    const late = Promise.withResolvers<never>();
    const timer = clock.after(ADMISSION_DEADLINE_MS, () =>
      late.reject(new ShoalError('OVERLOADED', 'its pull secrets were not copied in time')),
    );
    const seconds = (): number => (clock.nowMs() - beganMs) / 1_000;
    try {
      const { patch, images, skips } = await Promise.race([
        this.#review(review, entry),
        late.promise,
      ]);
      metrics?.reviewed(patch === null ? 'unchanged' : 'rewritten', seconds(), images);
      this.#report(review, skips);
      return reviewAnswer(review.uid, patch);
    } catch (error) {
      log.warn(
        { err: error, namespace: review.namespace, uid: review.uid },
        'pod admitted unchanged',
      );
      metrics?.reviewed('failed', seconds(), 0);
      metrics?.skipped('failed');
      return reviewAnswer(review.uid, null);
    } finally {
      timer.cancel();
    }
  }

  async #review({ uid, namespace, dryRun, pod }: PodReview, entry: WebhookEntry): Promise<Review> {
    if (pod === null) return { patch: null, images: 0, skips: [] };
    if (!isAccelerated(pod, entry)) return { patch: null, images: 0, skips: mislabelled(pod) };
    const { rules, keeper, log, nodes, metrics } = this.#options;
    const first = surveyPod(pod, rules, nodes);
    if (first.plan === null) return { patch: null, images: 0, skips: first.skips };
    const { pullSecrets, registryHosts } = first.plan;
    const looks = await Promise.all(
      pullSecrets.map((name) => this.#look(namespace, name, registryHosts)),
    );
    // Images whose credentials come from the kubelet's provider keep their names.
    const covered = new Set(looks.flatMap(({ hosts }) => hosts));
    const { plan, skips } = surveyPod(pod, rules, nodes, covered);
    if (plan === null) return { patch: null, images: 0, skips };
    const pairs: SecretPair[] = looks
      .filter(({ hosts }) => hosts.some((host) => plan.registryHosts.includes(host)))
      .map(({ name }) => ({ name, p2pName: copyName(name) }));
    const uncopied = await this.#uncopied(namespace, pairs);
    if (uncopied !== '')
      return {
        patch: null,
        images: 0,
        skips: [...skips, { reason: 'secret-not-copied', detail: uncopied }],
      };
    // Build the patch before writing any secret: a pod that cannot be rewritten needs no copies.
    const patch = podPatch(pod, plan, pairs);
    if (!dryRun) {
      const outcomes = await Promise.all(pairs.map(({ name }) => keeper.ensure(namespace, name)));
      for (const outcome of outcomes) metrics?.copied(outcome);
    }
    const images = plan.replacements.length;
    log.info({ namespace, uid, images, pullSecrets: pairs.length, dryRun }, 'pod rewritten');
    return { patch, images, skips };
  }

  /** Names of pull secrets without a copy in a namespace that allows none; '' when all have one. */
  async #uncopied(namespace: string, pairs: readonly SecretPair[]): Promise<string> {
    const { store, policy } = this.#options;
    const missing = pairs.filter(({ p2pName }) => store.get(namespace, p2pName) === null);
    if (missing.length === 0 || (await policy.mayCopy(namespace))) return '';
    return missing.map(({ name }) => name).join(', ');
  }

  /** Counts what was left alone and says why in Events; nothing waits for them. */
  #report({ namespace, dryRun, pod }: PodReview, skips: readonly Skip[]): void {
    const { metrics, events } = this.#options;
    for (const skip of skips) {
      metrics?.skipped(skip.reason);
      if (pod !== null && !dryRun) void events?.skipped(namespace, pod, skip);
    }
  }

  /**
   * The registry hosts that a pull secret holds credentials for. One that does not exist yet is
   * treated as if it held all; its copy follows when it is created.
   */
  async #look(
    namespace: string,
    name: string,
    hosts: readonly string[],
  ): Promise<{ name: string; hosts: readonly string[] }> {
    const { store, client, rules } = this.#options;
    const secret =
      store.get(namespace, name) ?? (await client.get<Secret>(SECRETS, namespace, name));
    if (secret === null) return { name, hosts: /^acr-credential-.*-p2p$/.test(name) ? [] : hosts };
    store.note(secret);
    const held = isCopy(secret) ? [] : hosts.filter((host) => holdsCredentialsFor(secret, [host]));
    const present = store.get(namespace, copyName(name));
    const isByHand = present !== null && !isCopy(present);
    const copy = isByHand ? null : pullSecretCopy(secret, rules);
    // A glob key can cover a registry without covering its P2P host. The pod then keeps its image
    // rather than losing its credentials.
    const lost = isByHand
      ? undefined
      : held.find((host) => copy === null || !holdsCredentialsFor(copy, [p2pHostOf(host, rules)!]));
    if (lost !== undefined)
      throw new ShoalError(
        'BAD_REQUEST',
        `pull secret ${name} covers ${lost} by a glob that does not cover its P2P host`,
      );
    return { name, hosts: held };
  }
}

/** The uid to answer, if the body has one. */
function uidOf(body: unknown): string {
  const uid = (body as { request?: { uid?: unknown } } | null | undefined)?.request?.uid;
  return typeof uid === 'string' ? uid : '';
}
