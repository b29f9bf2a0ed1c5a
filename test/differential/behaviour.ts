/** How a mock upstream treats requests for one blob. Every field multiplies the others. */
export interface Behaviour {
  ranges: (typeof RANGES)[number];
  length: (typeof LENGTHS)[number];
  redirect: (typeof REDIRECTS)[number];
  auth: (typeof AUTHS)[number];
  coding: (typeof CODINGS)[number];
  fault: (typeof FAULTS)[number];
  sizeBytes: (typeof SIZES)[number];
  head: (typeof HEADS)[number];
}

/** What a Range gets; a plain GET always gets 200 with everything. */
export const RANGES = [
  'served',
  'ignored',
  'star',
  'short',
  'unnamed',
  400,
  403,
  405,
  416,
  500,
  503,
] as const;
export const LENGTHS = ['told', 'chunked'] as const;
export const REDIRECTS = ['none', 'relative', 'storage', 'twice'] as const;
export const AUTHS = ['open', 'accepted', 'missing', 'denied', 'absent'] as const;
export const CODINGS = ['none', 'identity', 'aws-chunked', 'gzip'] as const;
/** Of the first request for the blob that is not refused. */
export const FAULTS = ['none', 'dropped', 'cut'] as const;
export const SIZES = [0, 1, 70_000, 2_500_000] as const;
/** What a HEAD gets that would not be refused as a GET. */
export const HEADS = ['served', 'bare', 405] as const;

const FIELDS = [RANGES, LENGTHS, REDIRECTS, AUTHS, CODINGS, FAULTS, SIZES, HEADS];
export const COMBINATIONS = FIELDS.reduce((product, field) => product * field.length, 1);

/** The combination of this number, counted in mixed radix. */
export function behaviourOf(number: number): Behaviour {
  let rest = number % COMBINATIONS;
  const digit = <Value>(values: readonly Value[]): Value => {
    const value = values[rest % values.length]!;
    rest = Math.floor(rest / values.length);
    return value;
  };
  return {
    ranges: digit(RANGES),
    length: digit(LENGTHS),
    redirect: digit(REDIRECTS),
    auth: digit(AUTHS),
    coding: digit(CODINGS),
    fault: digit(FAULTS),
    sizeBytes: digit(SIZES),
    head: digit(HEADS),
  };
}

/**
 * `count` different combinations, the same for a seed (a walk by a step coprime to their number).
 */
export function sample(seed: number, count: number): number[] {
  let step = 7_919;
  while (gcd(step, COMBINATIONS) !== 1) step++;
  const length = Math.min(count, COMBINATIONS);
  return Array.from({ length }, (_, at) => (seed * 104_729 + at * step) % COMBINATIONS);
}

function gcd(one: number, other: number): number {
  return other === 0 ? one : gcd(other, one % other);
}
