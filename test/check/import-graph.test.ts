import assert from 'node:assert/strict';
import { posix } from 'node:path';
import { sourceFiles } from './source-tree.ts';

/** What an agent, a root and the agent's sidecar run. */
const ENTRIES = [
  'lib/node.ts',
  'lib/commands/node.ts',
  'lib/commands/containerd-watch.ts',
  'lib/front/main.ts',
];
/** Types are gone at run time. */
const TYPES = /^(?:import|export) type [^;]*;/gm;
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'|new URL\('(\.[^']+\.ts)'/g;

describe('the import graph of a node', () => {
  const sources = new Map(sourceFiles().map(({ path, text }) => [path, text]));

  /** Every module that `entries` may load, those loaded on demand included, with who names it. */
  function reached(entries: readonly string[]): Map<string, string> {
    const found = new Map(entries.map((entry) => [entry, 'the entry']));
    for (const [path] of found) {
      const code = (sources.get(path) ?? '').replaceAll(TYPES, '');
      for (const [, specifier, url] of code.matchAll(IMPORT)) {
        const named = specifier ?? url!;
        const target = named.startsWith('.') ? posix.join(posix.dirname(path), named) : named;
        if (!found.has(target)) found.set(target, path);
      }
    }
    return found;
  }

  it('does not contain @kubernetes/client-node: only the webhook needs its 90 MB', () => {
    for (const entry of ENTRIES) assert.ok(sources.has(entry), entry);
    const nodes = reached(ENTRIES);
    assert.ok(nodes.has('lib/cluster/kubernetes/http.ts'), 'the graph is followed');
    assert.ok(nodes.has('undici'));
    assert.equal(nodes.get('@kubernetes/client-node'), undefined);
    assert.ok(reached(['lib/webhook/main.ts']).has('@kubernetes/client-node'));
  });
});
