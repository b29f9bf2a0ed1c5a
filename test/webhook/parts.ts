import { pino } from 'pino';
import { ManualClock } from '../../lib/clock.ts';
import { Controller } from '../../lib/webhook/controller.ts';
import { kubePath, NAMESPACES, type KubeObject } from '../../lib/cluster/kubernetes/client.ts';
import { CopyKeeper } from '../../lib/webhook/copy-keeper.ts';
import { NamespaceSurvey, type CopyDefault } from '../../lib/webhook/namespace-survey.ts';
import { Reviewer } from '../../lib/webhook/reviewer.ts';
import { SecretStore } from '../../lib/webhook/secret-store.ts';
import { FakeKube } from '../kube/fake-kube.ts';
import { turns } from '../kube/turns.ts';
import { rules } from './rules.ts';

/**
 * The parts of the webhook that deal in secrets, on an API in memory and a clock that stands still.
 */
export class Parts {
  readonly kube = new FakeKube();
  readonly clock = new ManualClock();
  readonly log: string[] = [];
  readonly store: SecretStore;
  readonly namespaces: NamespaceSurvey;
  readonly keeper: CopyKeeper;
  readonly reviewer: Reviewer;
  readonly controller: Controller;

  constructor(copyDefault: CopyDefault = 'all') {
    const { kube: client, clock } = this;
    const log = pino({ level: 'debug' }, { write: (line: string) => void this.log.push(line) });
    const random = (): number => 0.5;
    this.store = new SecretStore({
      client,
      clock,
      random,
      onChange: (keys) => this.controller.changed(keys),
      onError: () => {},
    });
    this.namespaces = new NamespaceSurvey({
      client,
      clock,
      random,
      copyDefault,
      excluded: new Set(['kube-system']),
      onChange: (names) => this.controller.namespacesChanged(names),
      onError: () => {},
    });
    this.keeper = new CopyKeeper(client, this.store, rules, this.namespaces);
    this.reviewer = new Reviewer({
      rules,
      store: this.store,
      keeper: this.keeper,
      policy: this.namespaces,
      client,
      clock,
      log,
    });
    this.controller = new Controller({
      store: this.store,
      keeper: this.keeper,
      clock,
      random,
      log,
    });
  }

  /** Watches begun and listed. */
  async started(): Promise<this> {
    for (const name of ['apps', 'kube-system']) this.namespace(name, {});
    this.store.start();
    this.namespaces.start();
    await turns();
    return this;
  }

  async stop(): Promise<void> {
    this.controller.stop();
    await Promise.all([this.store.stop(), this.namespaces.stop()]);
  }

  /** Stores a namespace, before the watches begin. */
  namespace(name: string, labels: Record<string, string>): void {
    const metadata = { name, labels, resourceVersion: '1' };
    this.kube.objects.set(kubePath(NAMESPACES, null, name), { metadata });
  }

  /** Changes the labels of a namespace; the watch reports it. */
  async label(name: string, labels: Record<string, string>): Promise<void> {
    await this.kube.replace<KubeObject>(NAMESPACES, { metadata: { name, labels } });
  }

  /** Writes to the copies, as `verb name`. */
  get copyWrites(): string[] {
    return this.kube.writes
      .filter((write) => write.includes('acr-credential-'))
      .map((write) => write.replace(/ .*\//, ' '));
  }
}
