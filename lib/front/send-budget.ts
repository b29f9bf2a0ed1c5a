import type { Throttle } from './throttle.ts';
import type { Turn } from './turn.ts';

/** What limits the bytes a front sends. A further limit (per client, say) is added here. */
export interface SendLimits {
  turn: Pick<Turn, 'take' | 'giveBack' | 'wait'>;
  /** null: not throttled, as other nodes are. */
  throttle: Throttle | null;
}

/** Bytes that may be sent now; when there are none, the limit to wait for. */
type Budget = { bytes: number; spent: null } | { bytes: 0; spent: SpentLimit };

export type SpentLimit = 'turn' | Throttle;

/** Takes up to `bytes` from every limit. What is not sent must be given back. */
export function takeBudget({ turn, throttle }: SendLimits, bytes: number): Budget {
  const turnBytes = turn.take(bytes);
  if (turnBytes === 0) return { bytes: 0, spent: 'turn' };
  if (throttle === null) return { bytes: turnBytes, spent: null };
  const taken = throttle.take(turnBytes);
  turn.giveBack(turnBytes - taken);
  return taken === 0 ? { bytes: 0, spent: throttle } : { bytes: taken, spent: null };
}

/** Takes all of `bytes`, or nothing: a caller that cannot wait must not queue for the rest. */
export function takeWholeBudget(limits: SendLimits, bytes: number): boolean {
  const taken = takeBudget(limits, bytes).bytes;
  if (taken === bytes) return true;
  giveBackBudget(limits, taken);
  return false;
}

export function giveBackBudget({ turn, throttle }: SendLimits, bytes: number): void {
  turn.giveBack(bytes);
  throttle?.giveBack(bytes);
}
