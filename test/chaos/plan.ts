import { Random } from '../../native-bench/sim/random.ts';
import { library, type Blob } from './library.ts';
import { STRANGE_BYTES, type Serving } from './registry.ts';

const SERVINGS: readonly Serving[] = ['parts', 'redirect', 'parts', 'redirect', 'whole'];

/** What happens in one simulation; made from its seed alone. */
export interface Plan {
  seed: number;
  agents: number;
  roots: number;
  slots: number;
  diskSlots: number;
  pieceBytes: number;
  faults: FaultKind[];
  /** Machines whose node reads what the container runtime keeps. */
  withRuntime: boolean[];
  blobs: { repository: string; blob: Blob; serving: Serving }[];
  pulls: PlannedPull[];
}

export interface PlannedPull {
  atMs: number;
  machine: number;
  blob: number;
  way: Way;
  who: Who;
  range: { startBytes: number; endBytes: number } | null;
  abortBytes: number | null;
}

/**
 * What a client asks for: a blob, the manifest of a repository by digest or by tag, a blob in
 * object storage by a signed URL, or a stranger's URL with the digest of a blob in its path.
 */
export const WAYS = ['blob', 'manifest', 'tag', 'signed', 'strange'] as const;
export type Way = (typeof WAYS)[number];

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
  'runtime',
  'drain',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export const FAULTS_FROM_MS = 1_000;
export const HEALED_MS = 40_000;
/** When the tag of a repository is moved to another manifest. */
export const MOVED_MS = 18_000;
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
    serving: one(SERVINGS),
  }));
  const pulls = Array.from({ length: 3 + random.below(12) }, (): PlannedPull => {
    const blob = random.below(blobs.length);
    const way = random.below(2) === 0 ? 'blob' : one(WAYS);
    const length =
      way === 'strange'
        ? STRANGE_BYTES.length
        : way === 'tag' || way === 'manifest'
          ? 100
          : blobs[blob]!.blob.bytes.length;
    const startBytes = random.below(length);
    const rangeBytes = one([1, 4_096, 100_000, length]);
    return {
      atMs: random.below(3) === 0 ? random.below(50) : random.below(HEALED_MS - 5_000),
      machine: random.below(agents),
      blob,
      way,
      who: random.below(3) > 0 ? 'right' : one(WHO),
      range:
        random.below(3) > 0 || way === 'manifest' || way === 'tag'
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
    withRuntime: Array.from({ length: agents + roots }, () => random.below(3) === 0),
    slots: 4 + random.below(8),
    diskSlots: 4 + random.below(20),
    pieceBytes: one([4, 16, 64]) * 1024,
  };
}
