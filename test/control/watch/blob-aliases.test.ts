import assert from 'node:assert/strict';
import { BlobAliases } from '../../../lib/control/watch/blob-aliases.ts';
import type { StatusInputs } from '../../../lib/telemetry/status.ts';
import { sha256Hex } from '../../../lib/registry/identity.ts';
import { KEY, OTHER_KEY } from '../fixture.ts';

const INPUTS: StatusInputs = {
  readiness: { phase: 'serving', problems: [] },
  cache: { allocatedBytes: 0, usedBytes: 0, entries: 0, suspended: false },
  runtimeStore: null,
  arena: { slots: 1, used: 0 },
  peers: [],
  registries: [],
  inFlight: [
    {
      blob: KEY,
      receivedBytes: 1,
      totalBytes: 2,
      source: 'origin',
      sentBytes: 0,
      clients: 0,
      nodes: 0,
    },
  ],
  queues: {},
  trees: { tracked: 1, depthMax: 1, blobs: [KEY, OTHER_KEY] },
  lineBytesPerSecond: null,
};

describe('control/blob-aliases', () => {
  it('names blobs without their digests, always the same way, and finds their trees', () => {
    const aliases = new BlobAliases((key) => sha256Hex(`secret ${key}`));
    const { inFlight, trees } = aliases.hide(INPUTS);
    assert.doesNotMatch(JSON.stringify([inFlight, trees]), /sha256|abab|cdcd/);
    assert.equal(inFlight[0]!.blob, trees.blobs[0]);
    assert.notEqual(trees.blobs[0], trees.blobs[1]);
    const tree = (key: string): { blob: string; shards: [] } => ({ blob: key, shards: [] });
    assert.deepEqual(aliases.tree(trees.blobs[1]!, tree), tree(trees.blobs[1]!));
    for (const stranger of [KEY, 'blob:00']) assert.equal(aliases.tree(stranger, tree), undefined);
  });
});
