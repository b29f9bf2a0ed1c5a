import { KubeError, SECRETS, type KubeClient } from '../cluster/kubernetes/client.ts';
import { COPY_ATTEMPTS_MAX } from './limits.ts';
import { copyName, planCopy, type CopyStep, type Secret } from './pull-secret.ts';
import type { CopyPolicy } from './namespace-survey.ts';
import type { RegistryRules } from './registry-rule.ts';
import type { SecretStore } from './secret-store.ts';

/** What was done to a copy. */
export type CopyOutcome = CopyStep['kind'];

/**
 * Brings the copy of one pull secret in line with its original. Admission and the controller of
 * every replica may do so concurrently. Each write carries the resourceVersion it is based on; on a
 * conflict both secrets are read again. Where the policy forbids copies no new one is made; one
 * that is there follows its original, because pods may use it.
 */
export class CopyKeeper {
  readonly #client: KubeClient;
  readonly #store: SecretStore;
  readonly #rules: RegistryRules;
  readonly #policy: CopyPolicy;
  readonly #underWay = new Map<string, Promise<CopyOutcome>>();

  constructor(client: KubeClient, store: SecretStore, rules: RegistryRules, policy: CopyPolicy) {
    this.#client = client;
    this.#store = store;
    this.#rules = rules;
    this.#policy = policy;
  }

  /**
   * Concurrent calls for the same secret share one pass. Rejects with KubeError when the API
   * refuses or is unreachable.
   */
  ensure(namespace: string, name: string): Promise<CopyOutcome> {
    const key = `${namespace}/${name}`;
    const running = this.#underWay.get(key);
    if (running !== undefined) return running;
    const pass = this.#pass(namespace, name).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, pass);
    return pass;
  }

  async #pass(namespace: string, name: string): Promise<CopyOutcome> {
    let [original, present] = [
      this.#store.get(namespace, name),
      this.#store.get(namespace, copyName(name)),
    ];
    for (let attempt = 1; ; attempt++) {
      // The local cache may lag: confirm that the original is gone before removing credentials in
      // use.
      if (original === null) original = await this.#read(namespace, name);
      const step = planCopy(original, present, this.#rules);
      if (step.kind === 'create' && !(await this.#policy.mayCopy(namespace))) return 'none';
      try {
        await this.#carryOut(step, namespace, present);
        return step.kind;
      } catch (error) {
        const isRace = error instanceof KubeError && (error.status === 409 || error.status === 404);
        if (!isRace || attempt === COPY_ATTEMPTS_MAX) throw error;
        [original, present] = await Promise.all([
          this.#read(namespace, name),
          this.#read(namespace, copyName(name)),
        ]);
      }
    }
  }

  async #carryOut(step: CopyStep, namespace: string, present: Secret | null): Promise<void> {
    if (step.kind === 'none') return;
    if (step.kind === 'remove' || step.kind === 'replace')
      await this.#client.remove(
        SECRETS,
        namespace,
        step.secret.metadata.name,
        present?.metadata.uid,
      );
    if (step.kind === 'create' || step.kind === 'replace')
      this.#store.note(await this.#client.create(SECRETS, step.secret));
    if (step.kind === 'update') this.#store.note(await this.#client.replace(SECRETS, step.secret));
  }

  async #read(namespace: string, name: string): Promise<Secret | null> {
    const secret = await this.#client.get<Secret>(SECRETS, namespace, name);
    if (secret !== null) this.#store.note(secret);
    return secret;
  }
}
