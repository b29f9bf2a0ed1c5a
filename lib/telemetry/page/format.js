// Numbers and names as people read them. Bytes in powers of 1000, as `shoal status` has them.

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** As in lib/limits.ts, which a browser cannot import. */
export const SHARD_BYTES = 2097152;

export function formatBytes(bytes) {
  let value = bytes;
  let unit = 0;
  while (unit < UNITS.length - 1 && Number(value.toFixed(unit === 0 ? 0 : 1)) >= 1000) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit === 0 ? 0 : 1)} ${UNITS[unit]}`;
}

export function formatRate(bytesPerSecond) {
  return `${formatBytes(bytesPerSecond)}/s`;
}

export function formatPercent(share) {
  return `${(share * 100).toFixed(1)} %`;
}

/** `3d 4h`, `5m 6s`, `6s`: the two largest units. */
export function formatSpan(seconds) {
  const units = [
    ['d', Math.floor(seconds / 86400)],
    ['h', Math.floor(seconds / 3600) % 24],
    ['m', Math.floor(seconds / 60) % 60],
    ['s', Math.floor(seconds) % 60],
  ];
  const first = units.findIndex(([, value]) => value > 0);
  return first === -1
    ? '0s'
    : units
        .slice(first, first + 2)
        .map(([unit, value]) => value + unit)
        .join(' ');
}

/** `sha256:dd65726c224b`: enough to tell blobs apart. */
export function shortBlob(blob) {
  return blob.slice(0, blob.indexOf(':') + 13);
}
