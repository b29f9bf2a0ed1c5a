import { Random } from '../../native-bench/sim/random.ts';
import { library, type Blob } from './library.ts';

/** What happens in one simulation; made from its seed alone. */
export interface Plan {
  seed: number;
  agents: number;
  roots: number;
  slots: number;
  diskSlots: number;
  pieceBytes: number;
  faults: FaultKind[];
  blobs: { repository: string; blob: Blob }[];
  pulls: PlannedPull[];
}

export interface PlannedPull {
  atMs: number;
  machine: number;
  blob: number;
  who: Who;
  range: { startBytes: number; endBytes: number } | null;
  abortBytes: number | null;
}

/** The clients: by what right they read. */
export const WHO = ['right', 'other', 'wrong', 'nobody', 'revoked', 'late'] as const;
export type Who = (typeof WHO)[number];

export const FAULT_KINDS = [
  'partition',
  'oneWay',
  'delay',
  'reset',
  'members',
  'registry',
  'disk',
  'crash',
  'clock',
  'liar',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export const FAULTS_FROM_MS = 1_000;
export const HEALED_MS = 40_000;
/** When the right of `revoked` ends, and long after that. */
export const REVOKED_MS = 15_000;
const REVOKED_AGAIN_MS = 30_000;

export function planOf(seed: number, only?: readonly FaultKind[]): Plan {
  const random = new Random(seed);
  const one = <T>(items: readonly T[]): T => items[random.below(items.length)]!;
  const agents = 1 + random.below(5);
  const roots = random.below(3);
  // One in five runs without any fault: then everything must go well.
  const isCalm = random.below(5) === 0;
  const faults = (only ?? FAULT_KINDS).filter(
    () => (only !== undefined || random.next() < 0.3) && !isCalm,
  );
  const blobs = Array.from({ length: 1 + random.below(4) }, (_, index) => ({
    repository: index === 0 || random.below(2) === 0 ? 'one' : 'two',
    blob: one(library()),
  }));
  const pulls = Array.from({ length: 3 + random.below(12) }, (): PlannedPull => {
    const blob = random.below(blobs.length);
    const { length } = blobs[blob]!.blob.bytes;
    const startBytes = random.below(length);
    const rangeBytes = one([1, 4_096, 100_000, length]);
    return {
      atMs: random.below(3) === 0 ? random.below(50) : random.below(HEALED_MS - 5_000),
      machine: random.below(agents),
      blob,
      who: random.below(3) > 0 ? 'right' : one(WHO),
      range:
        random.below(3) > 0
          ? null
          : { startBytes, endBytes: Math.min(length, startBytes + rangeBytes) },
      abortBytes: random.below(6) === 0 ? random.below(length) : null,
    };
  });
  // Whose right ends comes again afterwards.
  for (const pull of pulls.filter(({ who }) => who === 'revoked'))
    pulls.push({ ...pull, atMs: REVOKED_AGAIN_MS });
  return {
    ...{ seed, agents, roots, faults, blobs, pulls },
    slots: 4 + random.below(8),
    diskSlots: 4 + random.below(20),
    pieceBytes: one([64, 256, 1024]) * 1024,
  };
}
