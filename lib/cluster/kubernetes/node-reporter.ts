import type { Clock, Timer } from '../../clock.ts';
import { KUBE_BACKOFF_MS_MAX, KUBE_BACKOFF_MS_MIN } from '../limits.ts';
import { KubeError, LEASES, type KubeClient } from './client.ts';
import { reportLease, reportName, type ReportPlace } from './node-report.ts';

interface NodeReporterOptions {
  client: KubeClient;
  clock: Clock;
  /** In [0, 1): spreads the retries of many nodes. */
  random: () => number;
  node: string;
  place: ReportPlace;
  onError: (error: unknown) => void;
}

/**
 * Writes the report of one node, and again after each change. A write that fails is retried with
 * the newest report. Nothing is written while nothing changes.
 */
export class NodeReporter {
  readonly #options: NodeReporterOptions;
  #wanted = '';
  #written = '';
  #report: { hosts: readonly string[]; obstacles: readonly string[] } | null = null;
  #running: Promise<void> | null = null;
  #retry: Timer | null = null;
  #failures = 0;
  #stopped = false;

  constructor(options: NodeReporterOptions) {
    this.#options = options;
  }

  offer(hosts: readonly string[], obstacles: readonly string[]): void {
    this.#report = { hosts, obstacles };
    this.#wanted = JSON.stringify(this.#report);
    this.#start();
  }

  /**
   * Stops. The report stays, like the files it is about, unless they are removed (`withdraw`).
   */
  async stop(withdraw = false): Promise<void> {
    this.#stopped = true;
    this.#retry?.cancel();
    await this.#running;
    const { client, node, place, onError } = this.#options;
    if (withdraw) await client.remove(LEASES, place.namespace, reportName(node)).catch(onError);
  }

  #start(): void {
    if (this.#stopped || this.#running !== null || this.#retry !== null) return;
    if (this.#wanted === this.#written) return;
    this.#running = this.#write().finally(() => {
      this.#running = null;
      this.#start();
    });
  }

  async #write(): Promise<void> {
    const { client, clock, random, node, place, onError } = this.#options;
    const writing = this.#wanted;
    const lease = reportLease({ node, ...this.#report! }, place);
    try {
      await client.create(LEASES, lease).catch(async (error: unknown) => {
        if (!(error instanceof KubeError) || error.status !== 409) throw error;
        // The API updates a Lease only at a known version.
        const present = await client.get(LEASES, place.namespace, reportName(node));
        const { resourceVersion = '' } = present?.metadata ?? {};
        await client.replace(LEASES, {
          ...lease,
          metadata: { ...lease.metadata, resourceVersion },
        });
      });
      this.#written = writing;
      this.#failures = 0;
    } catch (error) {
      onError(error);
      const fullMs = Math.min(
        KUBE_BACKOFF_MS_MAX,
        KUBE_BACKOFF_MS_MIN * 2 ** Math.min(this.#failures++, 16),
      );
      this.#retry = clock.after(fullMs * (0.5 + random() / 2), () => {
        this.#retry = null;
        this.#start();
      });
    }
  }
}
