import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestOf } from '../e2e/image.ts';
import { ShoalNode } from '../e2e/node.ts';
import { OriginServer } from '../origin/origin-server.ts';
import { waitingVices } from './bad-peer.ts';
import { PullsBeside } from './beside.ts';

const begun = new Map<string, Promise<unknown>>();
let beside: PullsBeside | undefined;

/** What it throws is told by its own test. */
function begin(name: string, run: () => Promise<void>): void {
  begun.set(
    name,
    run().then(
      () => null,
      (thrown: unknown) => thrown,
    ),
  );
}

async function held(name: string): Promise<void> {
  const thrown = await begun.get(name);
  if (thrown !== null) throw thrown;
}

/*
 * What ends only at a deadline is begun before the first test of all, so that the waits pass side
 * by side and beside other tests: nobody hurries a deadline of 20 seconds, but half a minute of
 * waiting is a tenth of what the whole suite takes.
 */
before(async () => {
  const pulls = (beside = await PullsBeside.start());
  begin('registry', silentRegistry);
  for (const vice of waitingVices) begin(vice, () => pulls.pull(vice));
});
after(async () => {
  await Promise.all(begun.values());
  await beside?.stop();
});

async function silentRegistry(): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-silent-'));
  const quiet = await OriginServer.start(() => undefined);
  const node = await ShoalNode.start(dir, {
    ProxyConfig: { registries: [{ p2pHost: 'quiet', upstream: quiet.url }] },
  });
  try {
    const startMs = performance.now();
    const refused = await Promise.all(
      ['/v2/a/manifests/v1', `/v2/a/blobs/${digestOf(Buffer.from('quiet'))}`].map((path) =>
        node.get(path, { host: 'quiet' }),
      ),
    );
    assert.ok(performance.now() - startMs < 30_500, `${performance.now() - startMs} ms`);
    assert.deepEqual(
      refused.map(({ status }) => status),
      [504, 504],
    );
  } finally {
    await Promise.all([node.stop(), quiet.stop()]);
    await rm(dir, { recursive: true });
  }
}

describe('fault/deadlines', () => {
  for (const vice of waitingVices)
    it(`a peer that ${vice} causes no wrong byte and a delay of a few seconds at most`, () =>
      held(vice));

  it('an error, not a hang, when the registry says nothing (30 s at most)', () => held('registry'));
});
