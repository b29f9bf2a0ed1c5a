import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { CopyOutcome } from './copy-keeper.ts';
import type { SkipReason } from './plan.ts';

/** How a review ended: `failed` pods are admitted unchanged like `unchanged` ones. */
type ReviewOutcome = 'rewritten' | 'unchanged' | 'failed';
/** Why pods or images are left alone; `failed` and `overloaded` are not decisions. */
type SkipLabel = SkipReason | 'failed' | 'overloaded';

/** The webhook's metrics (docs/METRICS.md), one registry per replica. */
export class WebhookMetrics {
  readonly registry = new Registry();
  readonly #reviews = this.#counter('reviews_total', 'Admission reviews answered.', ['outcome']);
  readonly #images = this.#counter('images_rewritten_total', 'Images given a P2P address.', []);
  readonly #skips = this.#counter(
    'skips_total',
    'Images of accelerated registries, or whole pods, left unchanged.',
    ['reason'],
  );
  readonly #copies = this.#counter('secret_copies_total', 'Steps on pull-secret copies.', ['step']);
  readonly #eventsDropped = this.#counter('events_dropped_total', 'Events not sent.', []);
  readonly #latency = new Histogram({
    name: 'shoal_webhook_review_seconds',
    help: 'Time to answer an admission review.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [this.registry],
  });
  readonly #nodes = new Gauge({
    name: 'shoal_webhook_nodes',
    help: 'Nodes by what their agents report about the container runtime.',
    labelNames: ['state'],
    registers: [this.registry],
  });
  readonly #leader = new Gauge({
    name: 'shoal_webhook_leader',
    help: '1 on the replica that copies pull secrets.',
    registers: [this.registry],
  });

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({
      name: `shoal_webhook_${name}`,
      help,
      labelNames,
      registers: [this.registry],
    });
  }

  constructor() {
    // Prometheus takes the first value of a series for its beginning.
    this.#copies.inc({ step: 'failed' }, 0);
  }

  reviewed(outcome: ReviewOutcome, seconds: number, images: number): void {
    this.#reviews.inc({ outcome });
    this.#images.inc(images);
    this.#latency.observe(seconds);
  }

  skipped(reason: SkipLabel): void {
    this.#skips.inc({ reason });
  }

  copied(step: CopyOutcome | 'failed'): void {
    if (step !== 'none') this.#copies.inc({ step });
  }

  eventDropped(): void {
    this.#eventsDropped.inc();
  }

  /** Nodes whose runtime is configured, and nodes that report an obstacle. */
  nodes(configured: number, obstructed: number): void {
    this.#nodes.set({ state: 'configured' }, configured);
    this.#nodes.set({ state: 'obstructed' }, obstructed);
  }

  leads(isLeader: boolean): void {
    this.#leader.set(isLeader ? 1 : 0);
  }

  /** Prometheus text format. */
  async text(): Promise<string> {
    return await this.registry.metrics();
  }
}
