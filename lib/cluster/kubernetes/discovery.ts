import type { Clock } from '../../clock.ts';
import { MEMBERSHIP_START_TIMEOUT_MS } from '../limits.ts';
import { ENDPOINT_SLICES, type KubeClient, type KubeError } from './client.ts';
import { endpointView, rootService, SERVICE_NAME_LABEL, type EndpointSlice } from './endpoints.ts';
import { Informer } from './informer.ts';
import { type Membership, type MembershipView, ViewTeller } from '../membership.ts';

export interface KubernetesMembershipOptions {
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
export class KubernetesMembership implements Membership {
  readonly #options: KubernetesMembershipOptions;
  #informer: Informer<EndpointSlice> | null = null;
  #teller: ViewTeller | null = null;

  constructor(options: KubernetesMembershipOptions) {
    this.#options = options;
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
      onChange: () => teller.offer(endpointView(informer.objects(), service)),
      ...(onError === undefined ? {} : { onError }),
    });
    [this.#informer, this.#teller] = [informer, teller];
    informer.start();
    const late = Promise.withResolvers<void>();
    const timer = clock.after(MEMBERSHIP_START_TIMEOUT_MS, late.resolve);
    await Promise.race([informer.synced, late.promise]);
    timer.cancel();
  }

  async stop(): Promise<void> {
    this.#teller?.close();
    await this.#informer?.stop();
  }
}
