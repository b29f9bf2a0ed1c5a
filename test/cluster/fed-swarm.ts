import { ManualClock, type Clock } from '../../lib/clock.ts';
import { FedMembership, type FeedEvent } from '../../lib/cluster/fed-membership.ts';
import type { KubeClient, KubeScope, KubeWatchEvent } from '../../lib/cluster/kubernetes/client.ts';
import { KubernetesMembership, peekMembers } from '../../lib/cluster/kubernetes/discovery.ts';
import type { MembershipView } from '../../lib/cluster/membership.ts';
import { parseMembers } from '../../lib/wire/members.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';

/** One node of a FedSwarm. */
interface FedNode {
  membership: FedMembership;
  views: MembershipView[];
  events: FeedEvent[];
}

/** A client that counts the bytes of answers as JSON, which is what the API server sends. */
export function countingClient(client: KubeClient, count: (bytes: number) => void): KubeClient {
  const counted = (value: unknown): void => count(JSON.stringify(value).length);
  return {
    get: (...args) => client.get(...args),
    create: (...args) => client.create(...args),
    replace: (...args) => client.replace(...args),
    patch: (...args) => client.patch(...args),
    remove: (...args) => client.remove(...args),
    async list(scope: KubeScope, atMost?: number) {
      const list = await client.list(scope, atMost);
      counted(list.items);
      return list as never;
    },
    watch: (scope, version, onEvent, signal) =>
      client.watch(
        scope,
        version,
        (event) => {
          counted(event);
          onEvent(event as KubeWatchEvent<never>);
        },
        signal,
      ),
  };
}

/** Nodes that take the list of members from one API and from each other, in one process. */
export class FedSwarm {
  readonly nodes = new Map<string, FedNode>();
  /** Bytes that the API has sent to the nodes. */
  apiBytes = 0;
  /** Bytes of answers between nodes. */
  feedBytes = 0;
  /** Nodes that do not answer at all, until the asker's deadline. */
  readonly frozen = new Set<string>();
  /** Changes an answer on its way. */
  tamper: (body: string) => string = (body) => body;
  readonly clock: Clock;
  readonly #client: KubeClient;
  readonly #service: string;

  constructor(client: KubeClient, clock: Clock = new ManualClock(), service = 'shoal') {
    this.#client = countingClient(client, (bytes) => (this.apiBytes += bytes));
    this.clock = clock;
    this.#service = service;
  }

  /** Builds a node; call `membership.start` to start it. */
  add(self: string, { isRoot = false, secret = 1 } = {}): FedNode {
    const { clock } = this;
    const options = {
      client: this.#client,
      namespace: 'shoal',
      service: this.#service,
      clock,
      random: () => 0.5,
    };
    const node: FedNode = { membership: null as never, views: [], events: [] };
    node.membership = new FedMembership({
      self,
      isRoot,
      secret: new ClusterSecret(Buffer.alloc(32, secret)),
      count: (event) => node.events.push(event),
      ask: (to, path, deadlineMs) => this.#ask(to, path, deadlineMs),
      source: {
        watch: () => new KubernetesMembership(options),
        peek: () => peekMembers(options),
      },
      clock,
      random: () => 0.5,
    });
    this.nodes.set(self, node);
    return node;
  }

  async start(self: string, more?: { isRoot?: boolean; secret?: number }): Promise<FedNode> {
    const node = this.add(self, more);
    await node.membership.start((view) => node.views.push(view));
    return node;
  }

  get watching(): string[] {
    return [...this.nodes]
      .filter(([, { membership }]) => membership.isWatching)
      .map(([name]) => name);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.nodes.values()].map(({ membership }) => membership.stop()));
  }

  async #ask(to: string, path: string, deadlineMs: number): Promise<string | null> {
    const asked = this.nodes.get(to);
    if (asked === undefined) return null;
    const [way = '', query = ''] = path.split('?');
    const { promise, resolve } = Promise.withResolvers<string | null>();
    const timer = this.clock.after(deadlineMs, () => resolve(null));
    if (!this.frozen.has(to))
      void asked.membership
        .answer(parseMembers(way, query)!)
        .then((answer) => resolve(this.tamper(JSON.stringify(answer))));
    const body = await promise;
    timer.cancel();
    this.feedBytes += body?.length ?? 0;
    return body;
  }
}
