import { pino } from 'pino';
import { ManualClock } from '../../lib/clock.ts';
import { Controller } from '../../lib/webhook/controller.ts';
import { CopyKeeper } from '../../lib/webhook/copy-keeper.ts';
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
  readonly keeper: CopyKeeper;
  readonly reviewer: Reviewer;
  readonly controller: Controller;

  constructor() {
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
    this.keeper = new CopyKeeper(client, this.store, rules);
    this.reviewer = new Reviewer({
      rules,
      store: this.store,
      keeper: this.keeper,
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
      excludedNamespaces: new Set(['kube-system']),
    });
  }

  /** Watches begun and listed. */
  async started(): Promise<this> {
    this.store.start();
    await turns();
    return this;
  }

  async stop(): Promise<void> {
    this.controller.stop();
    await this.store.stop();
  }

  /** Writes to the copies, as `verb name`. */
  get copyWrites(): string[] {
    return this.kube.writes
      .filter((write) => write.includes('acr-credential-'))
      .map((write) => write.replace(/ .*\//, ' '));
  }
}
