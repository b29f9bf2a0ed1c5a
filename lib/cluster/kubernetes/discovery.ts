import type { Clock, Timer } from '../../clock.ts';
import {
  FEED_PEEK_SLICES,
  MEMBERSHIP_BATCH_MS,
  MEMBERSHIP_BATCH_US_PER_MEMBER,
  MEMBERSHIP_START_TIMEOUT_MS,
} from '../limits.ts';
import { ENDPOINT_SLICES, type KubeClient, type KubeError } from './client.ts';
import { endpointView, rootService, SERVICE_NAME_LABEL, type EndpointSlice } from './endpoints.ts';
import { Informer } from './informer.ts';
import type { SourceWatch } from '../fed-membership.ts';
import { type MembershipView, ViewTeller } from '../membership.ts';

interface KubernetesMembershipOptions {
  client: KubeClient;
  namespace: string;
  /** Name of the agents' headless service; the roots' is `<service>-root`. */
  service: string;
  clock: Clock;
  random: () => number;
  onError?: (error: KubeError) => void;
}

/**
 * The ready endpoints of a headless service and of its root service, watched through their
 * EndpointSlices. While the API server is down the last view stays in force.
 */
export class KubernetesMembership implements SourceWatch {
  readonly #options: KubernetesMembershipOptions;
  #informer: Informer<EndpointSlice> | null = null;
  #teller: ViewTeller | null = null;
  #batch: Batch | null = null;

  constructor(options: KubernetesMembershipOptions) {
    this.#options = options;
  }

  get version(): number {
    return this.#informer?.version ?? 0;
  }

  get heardMs(): number {
    return this.#informer?.heardMs ?? -Infinity;
  }

  async start(onChange: (view: MembershipView) => void): Promise<void> {
    const { client, namespace, service, clock, random, onError } = this.#options;
    const teller = new ViewTeller(onChange);
    const scope = {
      resource: ENDPOINT_SLICES,
      namespace,
      labelSelector: `${SERVICE_NAME_LABEL} in (${service},${rootService(service)})`,
    };
    const informer = new Informer<EndpointSlice>(scope, {
      client,
      clock,
      random,
      onChange: () => batch.changed(),
      ...(onError === undefined ? {} : { onError }),
    });
    const batch = new Batch(clock, () => {
      const view = endpointView(informer.objects(), service);
      teller.offer(view);
      return view.agents.length + view.roots.length;
    });
    [this.#informer, this.#teller, this.#batch] = [informer, teller, batch];
    informer.start();
    const late = Promise.withResolvers<void>();
    const timer = clock.after(MEMBERSHIP_START_TIMEOUT_MS, late.resolve);
    await Promise.race([informer.synced, late.promise]);
    timer.cancel();
  }

  async stop(): Promise<void> {
    this.#teller?.close();
    this.#batch?.stop();
    await this.#informer?.stop();
  }
}

/** The members in some slices of each service: a bounded answer, however large the swarm is. */
export async function peekMembers({
  client,
  namespace,
  service,
}: Pick<KubernetesMembershipOptions, 'client' | 'namespace' | 'service'>): Promise<MembershipView> {
  const slicesOf = (name: string) => ({
    resource: ENDPOINT_SLICES,
    namespace,
    labelSelector: `${SERVICE_NAME_LABEL}=${name}`,
  });
  const lists = await Promise.all(
    [service, rootService(service)].map((name) =>
      client.list<EndpointSlice>(slicesOf(name), FEED_PEEK_SLICES),
    ),
  );
  return endpointView(
    lists.flatMap(({ items }) => items),
    service,
  );
}

/**
 * Runs `work`, which returns the number of members, for the first change at once, then at most once
 * in MEMBERSHIP_BATCH_MS, and more rarely the more members there are.
 */
class Batch {
  readonly #clock: Clock;
  readonly #work: () => number;
  #nextMs = -Infinity;
  #timer: Timer | null = null;

  constructor(clock: Clock, work: () => number) {
    this.#clock = clock;
    this.#work = work;
  }

  changed(): void {
    if (this.#timer !== null) return;
    const waitMs = this.#nextMs - this.#clock.nowMs();
    if (waitMs <= 0) this.#run();
    else
      this.#timer = this.#clock.after(waitMs, () => {
        this.#timer = null;
        this.#run();
      });
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #run(): void {
    const members = this.#work();
    const pauseMs = Math.max(
      MEMBERSHIP_BATCH_MS,
      (members * MEMBERSHIP_BATCH_US_PER_MEMBER) / 1_000,
    );
    this.#nextMs = this.#clock.nowMs() + pauseMs;
  }
}
