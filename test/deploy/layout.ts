import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Architecture } from '../../deploy/release/runtimes.ts';

/** The layer files of an image in an OCI layout. */
export function layersOf(layout: string, architecture: Architecture): string[] {
  const blob = (digest: string): string => join(layout, 'blobs', digest.replace(':', '/'));
  const json = <Value>(path: string): Value => JSON.parse(readFileSync(path, 'utf8')) as Value;
  interface List {
    manifests: { digest: string; platform?: { architecture: string } }[];
  }
  const index = json<List>(join(layout, 'index.json'));
  const list = json<List>(blob(index.manifests[0]!.digest));
  const found = list.manifests.find(({ platform }) => platform?.architecture === architecture);
  assert.ok(found !== undefined, `the layout has no image for ${architecture}`);
  const manifest = json<{ layers: { digest: string }[] }>(blob(found.digest));
  return manifest.layers.map(({ digest }) => blob(digest));
}
