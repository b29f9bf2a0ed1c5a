const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/**
 * Bytes of `65536`, `64KiB`, `2 MiB` or `1.5GB`; null when it is not a whole number of bytes. Units
 * are powers of 1000 (kB, MB, GB, TB) or of 1024 (KiB, MiB, GiB, TiB).
 */
export function parseByteSize(text: string): number | null {
  const [, number = '', unit = ''] = /^(\d{1,14}(?:\.\d{1,6})?) ?([A-Za-z]*)$/.exec(text) ?? [];
  const factor = Object.hasOwn(UNITS, unit) ? UNITS[unit]! : Number.NaN;
  const bytes = number === '' ? Number.NaN : Number(number) * factor;
  return Number.isSafeInteger(bytes) ? bytes : null;
}
