import { parseObject } from './fields.ts';
import { RECALL_IDS_MAX } from './limits.ts';

/**
 * What registries answered recently, by opaque ids (lib/registry/words.ts), for the time they are
 * down:
 *
 *   GET /rpc/recall/<id>[,<id>...]     200 {<id>: {word, ageMs, node}, ...}
 *   GET /rpc/words, with the same object sealed in the header `shoal-words`: to be remembered
 *     200 {}
 */
export const WORDS_PATH = '/rpc/words';
const RECALL_PATH = '/rpc/recall/';
const OPAQUE = /^[0-9a-f]{64}$/;

export function recallPath(ids: readonly string[]): string {
  return RECALL_PATH + ids.join(',');
}

/** The ids that a path asks about, or null. */
export function parseRecall(path: string): string[] | null {
  const ids = path.slice(RECALL_PATH.length).split(',');
  return path.startsWith(RECALL_PATH) && areIds(ids) ? ids : null;
}

/** The object in `text`, its keys opaque ids, or null. */
export function parseWords(text: string): Record<string, unknown> | null {
  const words = parseObject(text);
  return words !== null && areIds(Object.keys(words)) ? words : null;
}

function areIds(ids: readonly string[]): boolean {
  return ids.length <= RECALL_IDS_MAX && ids.every((id) => OPAQUE.test(id));
}
