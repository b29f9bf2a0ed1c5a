// The arithmetic of the throughput curves.

const MINUTE_MS = 60_000;
/** Spans the curves may cover: a young node's are not squeezed into the right edge. */
const SPANS_MS = [3, 6, 15, 60].map((minutes) => minutes * MINUTE_MS);
export const SOURCES = ['origin', 'peer', 'cache'];
/** Points further apart than this have a gap between them: the node was away. */
const GAP_MS = 30_000;

/** The shortest span that shows every point there is. */
export function spanMs(points) {
  const covered = points.length === 0 ? 0 : points.at(-1).atMs - points[0].atMs;
  return SPANS_MS.find((span) => span >= covered) ?? SPANS_MS.at(-1);
}

/** The next 1, 2 or 5 times a power of ten, so that the axis has round numbers. */
export function niceMax(value) {
  if (value <= 0) return 1e6;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((limit) => limit >= value);
}

/** Running sums per point, in the order of SOURCES: what each area lies on and reaches up to. */
export function stack(points) {
  return points.map((point) => {
    let base = 0;
    return SOURCES.map((source) => {
      const from = base;
      base += point[source];
      return [from, base];
    });
  });
}

/** Runs of points without a gap, as [first, last] indices. */
export function runs(points) {
  const found = [];
  points.forEach((point, i) => {
    if (i === 0 || point.atMs - points[i - 1].atMs > GAP_MS) found.push([i, i]);
    else found[found.length - 1][1] = i;
  });
  return found;
}

/** Index of the point nearest to a time; -1 when there is none. */
export function nearest(points, atMs) {
  let best = -1;
  points.forEach((point, i) => {
    if (best === -1 || Math.abs(point.atMs - atMs) < Math.abs(points[best].atMs - atMs)) best = i;
  });
  return best;
}
