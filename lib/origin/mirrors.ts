import type { Clock } from '../clock.ts';
import type { RegistryEntry } from '../registry/allow.ts';
import { MirrorView, type Mirror } from '../registry/mirror-view.ts';
import { MIRROR_RETURN_MS } from './limits.ts';
import type { Ping } from './outages.ts';

/** The status that `<origin>/v2/` answers now; null: no connection, or no answer. */

/**
 * Chooses between the upstreams of a registry (`registries[].upstreams`). One that cannot be
 * reached or does not answer in time is left out at once; one that answers 5xx, if its ping of
 * `/v2/` fails, too: a single broken path says nothing of the rest. MIRROR_RETURN_MS later it is
 * pinged, when there is something to ask, and used again once it answers.
 */
export class Mirrors extends MirrorView {
  readonly #clock: Clock;
  readonly #ping: Ping;
  readonly #looking = new Set<string>();

  constructor(
    registries: readonly RegistryEntry[],
    states: SharedArrayBuffer,
    tools: { clock: Clock; ping: Ping },
  ) {
    super(registries, states);
    this.#clock = tools.clock;
    this.#ping = tools.ping;
  }

  /** Whom to ask for what is at `origin`, in this order: all of them when all are left out. */
  inOrder(origin: string): readonly string[] {
    const mirrors = this.sets.get(origin);
    if (mirrors === undefined) return [origin];
    const nowMs = this.#clock.nowMs();
    const out = mirrors.filter((mirror) => this.isOut(mirror));
    for (const mirror of out) {
      mirror.lookedMs ??= nowMs;
      if (nowMs - mirror.lookedMs >= MIRROR_RETURN_MS) void this.#look(mirror);
    }
    const left = mirrors.filter((mirror) => !this.isOut(mirror));
    return (left.length > 0 ? left : mirrors).map((mirror) => mirror.origin);
  }

  /** `by`, an upstream of `origin`, has failed a request: it was silent, or answered a 5xx. */
  failed(origin: string, by: string, how: 'silent' | 'error'): void {
    const mirror = this.sets.get(origin)?.find((one) => one.origin === by);
    if (mirror === undefined) return;
    if (how === 'silent') this.#leaveOut(mirror);
    else void this.#look(mirror);
  }

  #leaveOut(mirror: Mirror): void {
    mirror.lookedMs = this.#clock.nowMs();
    Atomics.store(this.states, mirror.at, 1);
  }

  async #look(mirror: Mirror): Promise<void> {
    if (this.#looking.has(mirror.origin)) return;
    this.#looking.add(mirror.origin);
    mirror.lookedMs = this.#clock.nowMs();
    const status = await this.#ping(mirror.origin);
    this.#looking.delete(mirror.origin);
    if (status === 'unasked') return;
    if (status === null || status >= 500) this.#leaveOut(mirror);
    else {
      mirror.lookedMs = null;
      Atomics.store(this.states, mirror.at, 0);
    }
  }
}
