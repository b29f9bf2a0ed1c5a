import type { Row } from './comparison.ts';

const [WIDTH, BAR, GAP, LEFT] = [720, 18, 6, 190];

/** Bars of GB/s, grouped by size of read, as an SVG of its own. */
export function drawRows(rows: readonly Row[]): string {
  const max = Math.max(...rows.map((row) => row.gigabytesPerSecond), Number.MIN_VALUE);
  const lines: string[] = [];
  let y = 30;
  let group = -1;
  for (const row of rows) {
    if (row.sizeBytes !== group) {
      group = row.sizeBytes;
      lines.push(
        `<text x="10" y="${(y += 16)}" font-weight="bold">${row.sizeBytes / 1024} KiB ` +
          `reads${row.tls ? ', TLS' : ''}</text>`,
      );
      y += 10;
    }
    const width = Math.max(1, (row.gigabytesPerSecond / max) * (WIDTH - LEFT - 170));
    lines.push(`<text x="${LEFT - 10}" y="${y + 13}" text-anchor="end">${row.server}</text>`);
    lines.push(
      `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="3" ` +
        `fill="${row.server === rows[0]?.server ? '#0a7' : '#8899aa'}"/>`,
    );
    lines.push(
      `<text x="${(LEFT + width + 8).toFixed(1)}" ` +
        `y="${y + 13}">${row.gigabytesPerSecond.toFixed(2)} GB/s, ` +
        `${row.cpuSecondsPerGB.toFixed(2)} CPU-s/GB</text>`,
    );
    y += BAR + GAP;
  }
  const head =
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 14}" ` +
    'font-family="sans-serif" font-size="12"><title>Warm reads on one core</title>';
  return (
    `${head}<rect width="100%" height="100%" fill="#fff"/><text x="10" y="22" ` +
    `font-size="14">Warm reads, one server core, loopback</text>${lines.join('')}</svg>\n`
  );
}
