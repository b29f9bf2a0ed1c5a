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

/**
 * What a Range gets; a plain GET always gets 200 with everything. `mislabelled`: a part with 200
 * and its Content-Range.
 */
export const RANGES = [
  'served',
  'ignored',
  'star',
  'short',
  'unnamed',
  'multipart',
  'mislabelled',
  400,
  403,
  405,
  416,
  500,
  503,
] as const;
/** How a body's end is known; `closed`: by the end of the connection. */
export const LENGTHS = ['told', 'chunked', 'closed'] as const;
/** `single-use`: to a signed URL that the storage takes once, and refuses with 400 from then on. */
export const REDIRECTS = ['none', 'relative', 'storage', 'twice', 'single-use'] as const;
/** The registry asks for the credential; whoever holds the blob denies it, or has none. */
export const AUTHS = ['open', 'accepted', 'missing', 'denied', 'absent'] as const;
/** What Content-Encoding says of bytes that have no coding; `compressed`: they have it. */
export const CODINGS = ['none', 'identity', 'aws-chunked', 'gzip', 'compressed'] as const;
/**
 * Of the first request for the blob that is not refused; `limited`: each connection ends after so
 * many bytes of a body, as gateways end it after so many seconds; `single`: 503 to a request while
 * another one for the blob is under way.
 */
export const FAULTS = ['none', 'dropped', 'cut', 'limited', 'single'] as const;
export const LIMITED_BYTES = 1_000_000;
/** None, the least, a part of a shard, two shards. */
export const SIZES = [0, 1, 70_000, 2_200_000] as const;
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
 * `count` different combinations from the `from`th on of the order that belongs to `seed`. Each
 * part of an order has every value of every field about as often as the others.
 */
export function sample(seed: number, from: number, count: number): number[] {
  const length = Math.max(0, Math.min(count, COMBINATIONS - from));
  return Array.from({ length }, (_, at) => shuffled(seed, from + at));
}

/** A permutation of the combinations: rounds that can be undone, until one is among them. */
function shuffled(seed: number, number: number): number {
  let at = number;
  do {
    for (let round = 1; round <= 3; round++) {
      at = (Math.imul(at, MULTIPLIER) + seed * round) & MASK;
      at ^= at >>> (BITS / 2);
    }
  } while (at >= COMBINATIONS);
  return at;
}

const BITS = 2 * Math.ceil(Math.log2(COMBINATIONS) / 2);
const MASK = 2 ** BITS - 1;
/** Odd, so that multiplying by it can be undone. */
const MULTIPLIER = 0x2c1b3c6d;
