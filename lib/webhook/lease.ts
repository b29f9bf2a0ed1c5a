import type { Clock, Timer } from '../clock.ts';
import {
  KubeError,
  LEASES,
  type KubeClient,
  type KubeObject,
} from '../cluster/kubernetes/client.ts';
import { LEASE_DURATION_MS, LEASE_RENEW_DEADLINE_MS, LEASE_RETRY_MS } from './limits.ts';

/** A Lease of coordination.k8s.io/v1. */
export interface Lease extends KubeObject {
  spec?: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

/**
 * The lease as last read, and when it was read (monotonic ms). Clocks of two machines are never
 * compared.
 */
interface LeaseSighting {
  readonly lease: Lease;
  readonly seenMs: number;
}

/**
 * Whether `identity` may take or renew the lease: it holds the lease, nobody does, or the holder
 * has not renewed it for its lease duration.
 */
export function mayHold(
  { lease, seenMs }: LeaseSighting,
  identity: string,
  nowMs: number,
): boolean {
  const { holderIdentity = '', leaseDurationSeconds } = lease.spec ?? {};
  if (holderIdentity === '' || holderIdentity === identity) return true;
  return (
    nowMs - seenMs >=
    (leaseDurationSeconds === undefined ? LEASE_DURATION_MS : leaseDurationSeconds * 1_000)
  );
}

interface LeaderElectionOptions {
  client: KubeClient;
  clock: Clock;
  namespace: string;
  name: string;
  /** Identity of this process; unique. */
  identity: string;
  onChange: (leads: boolean) => void;
  onError: (error: unknown) => void;
}

/**
 * Leader election by a Lease (Kubernetes, "Leases"). The holder renews the lease and steps down
 * before others may take it. Every write carries the resourceVersion that was read.
 */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  #sighting: LeaseSighting | null = null;
  #renewedMs = -Infinity;
  #leads = false;
  #timer: Timer | null = null;
  #deadline: Timer | null = null;
  #pass: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
  }

  get leads(): boolean {
    return this.#leads;
  }

  start(): void {
    this.#pass = this.#round();
  }

  /**
   * Stops the candidacy and releases a held lease, so that the next leader need not wait for its
   * end.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#pass;
    const held = this.#leads ? this.#sighting : null;
    this.#set(false);
    if (held !== null) await this.#write(held.lease, '').catch(this.#options.onError);
  }

  async #round(): Promise<void> {
    const { client, clock, namespace, name, identity, onError } = this.#options;
    try {
      const beganMs = clock.nowMs();
      const lease = await client.get<Lease>(LEASES, namespace, name);
      const isNew =
        lease?.metadata.resourceVersion !== this.#sighting?.lease.metadata.resourceVersion;
      if (lease !== null && (isNew || this.#sighting === null))
        this.#sighting = { lease, seenMs: clock.nowMs() };
      if (lease === null || mayHold(this.#sighting!, identity, clock.nowMs())) {
        await this.#write(lease, identity);
        // Measured from before the write, because others measure from when they see it.
        this.#renewedMs = beganMs;
        this.#set(true);
      } else this.#set(false);
    } catch (error) {
      const isLost = error instanceof KubeError && error.status === 409;
      if (!isLost) onError(error);
    }
    if (!this.#stopped)
      this.#timer = clock.after(LEASE_RETRY_MS, () => (this.#pass = this.#round()));
  }

  async #write(lease: Lease | null, holder: string): Promise<void> {
    const { client, clock, namespace, name } = this.#options;
    const now = new Date(clock.wallMs()).toISOString().replace('Z', '000Z');
    const before = lease?.spec ?? {};
    const changesHands = before.holderIdentity !== holder;
    const spec = {
      holderIdentity: holder,
      leaseDurationSeconds: LEASE_DURATION_MS / 1_000,
      acquireTime: changesHands ? now : (before.acquireTime ?? now),
      renewTime: now,
      leaseTransitions: (before.leaseTransitions ?? 0) + (changesHands && lease !== null ? 1 : 0),
    };
    const base: Lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: lease?.metadata ?? { name, namespace },
      spec,
    };
    const written =
      lease === null
        ? await client.create<Lease>(LEASES, base)
        : await client.replace<Lease>(LEASES, base);
    this.#sighting = { lease: written, seenMs: clock.nowMs() };
  }

  #set(leads: boolean): void {
    const { clock, onChange } = this.#options;
    this.#deadline?.cancel();
    // A request may hang; the leader must still step down in time.
    if (leads)
      this.#deadline = clock.after(this.#renewedMs + LEASE_RENEW_DEADLINE_MS - clock.nowMs(), () =>
        this.#set(false),
      );
    if (leads === this.#leads) return;
    this.#leads = leads;
    onChange(leads);
  }
}
