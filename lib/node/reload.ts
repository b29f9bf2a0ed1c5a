import type { Config } from '../config/schema.ts';
import type { createLogger } from '../telemetry/logger.ts';
import { readOriginOptions, type NodeOriginOptions } from './origin-options.ts';

/** Keys that a running node takes up; all others need a restart. */
const LIVE_KEYS = new Set(['registries', 'allow', 'firstByteTimeout']);

interface ReloadParts {
  log: Pick<ReturnType<typeof createLogger>, 'info' | 'warn' | 'error'>;
  /** Puts a new version into force. */
  apply(config: Config, options: NodeOriginOptions): Promise<void>;
}

/**
 * Takes up what the config file says now of registries. A config that is invalid, or names a file
 * that is, changes nothing.
 */
export class Reload {
  readonly #parts: ReloadParts;
  /** What the node has started with. */
  readonly #started: Config;
  #config: Config;
  #options: NodeOriginOptions;
  #last: Promise<void> = Promise.resolve();

  constructor(parts: ReloadParts, config: Config, options: NodeOriginOptions) {
    this.#parts = parts;
    this.#started = config;
    this.#config = config;
    this.#options = options;
  }

  /** Reloads one after the other; never rejects. Resolves with the config in force. */
  async run(read: () => Config): Promise<Config> {
    this.#last = this.#last.then(() => this.#run(read));
    await this.#last;
    return this.#config;
  }

  async #run(read: () => Config): Promise<void> {
    const { log } = this.#parts;
    try {
      const config = read();
      const options = await readOriginOptions(config);
      const changed = changedKeys(this.#started, config);
      const needRestart = changed.filter((key) => !LIVE_KEYS.has(key.split('.')[1] ?? ''));
      if (needRestart.length > 0)
        log.warn(
          { code: 'CONFIG_INVALID' },
          `restart the node to apply changes of ${needRestart.join(', ')}`,
        );
      if (JSON.stringify(options) === JSON.stringify(this.#options)) {
        log.info('config read again; nothing changed for registries');
        return;
      }
      await this.#parts.apply(config, options);
      this.#config = config;
      this.#options = options;
      log.info(
        { registries: options.registries.map(({ upstream }) => upstream) },
        'the new config of registries is in force',
      );
    } catch (thrown) {
      const { message } = thrown as Error;
      log.error(
        { code: 'CONFIG_INVALID' },
        `the new config is refused, the old one stays in force: ${message}`,
      );
    }
  }
}

/** `Section.key` of all keys whose values differ. */
function changedKeys(old: Config, now: Config): string[] {
  return Object.entries(now).flatMap(([section, keys]) =>
    Object.entries(keys)
      .filter(([key, value]) => {
        const before = (old[section as keyof Config] as Record<string, unknown>)[key];
        return JSON.stringify(before) !== JSON.stringify(value);
      })
      .map(([key]) => `${section}.${key}`),
  );
}
