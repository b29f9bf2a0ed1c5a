import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { agedSummary, type AgedSummary } from '../telemetry/node-summary.ts';
import type { HistoryPoint } from '../telemetry/history.ts';
import { isNodeName, isSize, parseObject } from './fields.ts';
import {
  PACKED_CHARS_MAX,
  SUMMARIES_BYTES_MAX,
  SUMMARIES_MAX,
  SUMMARY_HISTORY_MAX,
} from './limits.ts';
import type { ClusterSecret } from './secret.ts';

/**
 * What nodes tell of themselves, for the page of the swarm:
 *
 *   GET /rpc/summary, with a Telling sealed in the header `shoal-words`     200 {}
 *   GET /rpc/swarm     200 {sealed: a Gathering}     404 by a node that does not keep summaries
 *
 * Summaries travel packed (deflated JSON, base64); who only passes them on need not unpack them.
 */
export const SUMMARY_PATH = '/rpc/summary';
export const SWARM_PATH = '/rpc/swarm';

/** Bytes per second by source, of all nodes of a Telling together. */
type TellingRates = Record<(typeof SOURCES)[number], number>;
const SOURCES = ['origin', 'peer', 'cache', 'client'] as const;

/** Summaries of one or more nodes. */
export interface Telling {
  node: string;
  /** Summaries that do not fit into one request head are told in parts. */
  part: number;
  /** It was told by the nodes' leader, not by the node itself. */
  isPassedOn: boolean;
  rates: TellingRates;
  packed: string;
}

/** All summaries that a node keeps, and the swarm's history. */
export interface Gathering {
  parts: { packed: string; ageMs: number }[];
  history: HistoryPoint[];
}

export function formatTelling(telling: Telling): string {
  return JSON.stringify(telling);
}

export function parseTelling(text: string): Telling | null {
  const { node, part, isPassedOn, rates, packed } = parseObject(text) ?? {};
  if (typeof node !== 'string' || !isNodeName(node) || typeof packed !== 'string' || !isSize(part))
    return null;
  const told = (rates ?? {}) as Record<string, unknown>;
  if (!SOURCES.every((source) => isSize(told[source]))) return null;
  return {
    node,
    part,
    isPassedOn: isPassedOn === true,
    rates: sumRates([told as TellingRates]),
    packed,
  };
}

/** The sum of the rates of some nodes. */
export function sumRates(all: readonly TellingRates[]): TellingRates {
  const sum = { origin: 0, peer: 0, cache: 0, client: 0 };
  for (const rates of all) for (const source of SOURCES) sum[source] += rates[source];
  return sum;
}

export function packSummaries(summaries: readonly AgedSummary[]): string {
  return deflateRawSync(JSON.stringify(summaries), { level: 1 }).toString('base64');
}

/** What `node` tells of the given nodes, each part of which fits into a request head. */
export function tellings(
  node: string,
  summaries: readonly AgedSummary[],
  isPassedOn: boolean,
): Telling[] {
  return parts(summaries).map(({ packed, of }, part) => ({
    node,
    part,
    isPassedOn,
    rates: sumRates(of.map(({ rates }) => rates)),
    packed,
  }));
}

function parts(of: readonly AgedSummary[]): { packed: string; of: readonly AgedSummary[] }[] {
  const packed = packSummaries(of);
  if (packed.length <= PACKED_CHARS_MAX || of.length === 1) return [{ packed, of }];
  const middle = of.length >> 1;
  return [...parts(of.slice(0, middle)), ...parts(of.slice(middle))];
}

/** The valid ones of the summaries in `packed`; none of a text that cannot be unpacked. */
export function unpackSummaries(packed: string): AgedSummary[] {
  let values: unknown;
  try {
    const json = inflateRawSync(Buffer.from(packed, 'base64'), {
      maxOutputLength: SUMMARIES_BYTES_MAX,
    });
    values = JSON.parse(json.toString('utf8'));
  } catch {
    return [];
  }
  if (!Array.isArray(values)) return [];
  return values.slice(0, SUMMARIES_MAX).flatMap((value: unknown) => {
    const parsed = agedSummary.safeParse(value);
    return parsed.success ? [parsed.data] : [];
  });
}

/** A gathering as the body of an answer: names of images cross the wire sealed. */
export function formatGathering(gathering: Gathering, secret: Pick<ClusterSecret, 'seal'>): object {
  return { sealed: secret.seal(JSON.stringify(gathering)) };
}

/** The gathering in an answer's body, or null. */
export function parseGathering(
  text: string,
  secret: Pick<ClusterSecret, 'open'>,
): Gathering | null {
  const { sealed } = parseObject(text) ?? {};
  const opened = typeof sealed === 'string' ? secret.open(sealed) : null;
  const { parts, history } = parseObject(opened ?? '') ?? {};
  if (!Array.isArray(parts) || !Array.isArray(history)) return null;
  return {
    parts: (parts as Partial<Gathering['parts'][number]>[])
      .slice(0, SUMMARIES_MAX)
      .flatMap((part) =>
        typeof part?.packed === 'string' && isSize(part.ageMs)
          ? [{ packed: part.packed, ageMs: part.ageMs }]
          : [],
      ),
    history: (history as Partial<HistoryPoint>[])
      .slice(-SUMMARY_HISTORY_MAX)
      .filter(
        (point): point is HistoryPoint =>
          point !== null && [point.atMs, ...SOURCES.map((source) => point[source])].every(isSize),
      ),
  };
}
