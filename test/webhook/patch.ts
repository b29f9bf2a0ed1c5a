import type { PatchOperation } from '../../lib/webhook/admission.ts';

/**
 * Applies `add` and `replace` of RFC 6902 to a copy of `target`; a path that does not exist is an
 * error, as for the API server.
 */
export function applyPatch<T>(target: T, patch: readonly PatchOperation[]): T {
  const result = structuredClone(target);
  for (const { op, path, value } of patch) {
    const tokens = path
      .slice(1)
      .split('/')
      .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = tokens.pop()!;
    let parent: unknown = result;
    for (const token of tokens) parent = (parent as Record<string, unknown>)[token];
    if (typeof parent !== 'object' || parent === null) throw new Error(`no parent: ${path}`);
    if (Array.isArray(parent) && last === '-') parent.push(structuredClone(value));
    else if (op === 'replace' && !(last in parent)) throw new Error(`nothing to replace: ${path}`);
    else (parent as Record<string, unknown>)[last] = structuredClone(value);
  }
  return result;
}
