/** One curve: a name and the seconds in which nodes finished, ascending. */
export interface Curve {
  name: string;
  seconds: readonly number[];
}

const WIDTH = 720;
const HEIGHT = 400;
const MARGIN = { left: 60, right: 20, top: 50, bottom: 50 };
const COLOURS = ['#0a6ebd', '#b3400f', '#2e7d32', '#7b1fa2'];

/** The share of nodes that have finished over time, as a self-contained SVG. */
export function plotFinish(title: string, curves: readonly Curve[], idealSeconds: number): string {
  const endSeconds =
    Math.max(idealSeconds, ...curves.map(({ seconds }) => seconds.at(-1) ?? 0)) * 1.05;
  const plotWidth = WIDTH - MARGIN.left - MARGIN.right;
  const plotHeight = HEIGHT - MARGIN.top - MARGIN.bottom;
  const x = (seconds: number): number => MARGIN.left + (seconds / endSeconds) * plotWidth;
  const y = (share: number): number => MARGIN.top + (1 - share) * plotHeight;
  const parts: string[] = [];
  for (const share of [0, 0.25, 0.5, 0.75, 0.95, 1]) {
    parts.push(
      `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" ` +
        `y1="${y(share).toFixed(1)}" y2="${y(share).toFixed(1)}" stroke="#ccc"/>`,
    );
    parts.push(
      `<text x="${MARGIN.left - 8}" y="${(y(share) + 4).toFixed(1)}" ` +
        `text-anchor="end">${share * 100} %</text>`,
    );
  }
  const step = niceStep(endSeconds / 8);
  for (let at = 0; at <= endSeconds; at += step) {
    parts.push(
      `<text x="${x(at).toFixed(1)}" y="${HEIGHT - MARGIN.bottom + 20}" ` +
        `text-anchor="middle">${Number(at.toPrecision(6))}</text>`,
    );
  }
  parts.push(
    `<text x="${MARGIN.left + plotWidth / 2}" y="${HEIGHT - 10}" ` +
      'text-anchor="middle">seconds since the node began</text>',
  );
  parts.push(
    `<line x1="${x(idealSeconds).toFixed(1)}" x2="${x(idealSeconds).toFixed(1)}" ` +
      `y1="${MARGIN.top}" y2="${HEIGHT - MARGIN.bottom}" stroke="#555" stroke-dasharray="4 ` +
      '4"/>',
  );
  curves.forEach(({ name, seconds }, at) => {
    const colour = COLOURS[at % COLOURS.length]!;
    const every = Math.max(1, Math.floor(seconds.length / 500));
    const points = seconds.flatMap((value, index) =>
      index % every === 0 || index === seconds.length - 1
        ? [`${x(value).toFixed(1)},${y((index + 1) / seconds.length).toFixed(1)}`]
        : [],
    );
    parts.push(
      `<polyline points="${MARGIN.left},${y(0)} ${points.join(' ')}" fill="none" ` +
        `stroke="${colour}" stroke-width="2"/>`,
    );
    parts.push(
      `<text x="${MARGIN.left + at * 160}" y="${MARGIN.top - 12}" ` +
        `fill="${colour}">${escapeText(name)}</text>`,
    );
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}"
  font-family="sans-serif" font-size="12" role="img">
<title>${escapeText(title)}</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<text x="${MARGIN.left}" y="20" font-size="15">${escapeText(title)} (dashed: ideal)</text>
${parts.join('\n')}
</svg>
`;
}

/** 1, 2 or 5 times a power of ten, not below `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((times) => times * power).find((value) => value >= least) ?? least;
}

function escapeText(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
