import assert from 'node:assert/strict';
import { ToldSize } from '../../../lib/control/serve/told-size.ts';
import { settled, KEY } from '../fixture.ts';
import { BLOB, streamFixture, type StreamFixture } from './stream-fixture.ts';

const GRANTED = { kind: 'granted', totalBytes: 900 } as const;
const REFUSED = {
  kind: 'failed',
  error: { code: 'ORIGIN_REFUSED', message: 'no', status: 403 },
} as const;

describe('control/told-size: the size that a client is told', () => {
  const LIE = 9_000_000_000;
  const kinds = (at: StreamFixture): string[] => at.replies.map(({ kind }) => kind);
  const MANIFEST = Buffer.from(JSON.stringify({ layers: [{ digest: KEY, size: 900 }] }));
  const TYPE = 'application/vnd.oci.image.manifest.v1+json';

  it('is asked for at the registry, once, where only another node has named one', async () => {
    const at = streamFixture();
    at.open();
    at.open({ id: 2 });
    await settled();
    await at.deliver(0, LIE);
    assert.deepEqual(kinds(at), []);
    at.answer(GRANTED);
    await settled();
    assert.deepEqual(
      at.replies.map((reply) => reply.kind === 'opened' && reply.provenBytes),
      [900, 900],
    );
    assert.throws(() => at.answer(GRANTED), 'one request');
    // What came of another size is gone.
    assert.equal(at.loader.find(KEY, 0), undefined);
  });

  it('is not told at all if the registry refuses to say it', async () => {
    const at = streamFixture();
    at.open();
    await settled();
    await at.deliver(0, LIE);
    at.answer(REFUSED);
    await settled();
    assert.deepEqual(kinds(at), ['refused']);
  });

  it("is a manifest's without a request; where another came, the registry decides", async () => {
    const at = streamFixture({ check: 'strict' });
    at.gate.relayed(BLOB.scope, 'Bearer t', null);
    at.gate.noteManifest(BLOB.scope, MANIFEST, TYPE, 'registry');
    at.open();
    await settled();
    await at.deliver(0, LIE);
    const opened = at.replies[0];
    assert.ok(opened?.kind === 'opened' && opened.provenBytes === 900);
    at.streams.size(1);
    at.streams.size(1);
    at.answer({ kind: 'granted', totalBytes: 1_000 });
    await settled();
    assert.deepEqual(at.replies.at(-1), { kind: 'sized', id: 1, totalBytes: 1_000 });
    assert.equal(at.loader.find(KEY, 0), undefined);
    assert.throws(() => at.answer(GRANTED), 'one request');
  });

  it('is that of what comes where the registry tells none; it is asked once', async () => {
    const at = streamFixture();
    for (const id of [1, 2]) {
      at.open({ id });
      await settled();
      if (id === 1) await at.deliver(0, 900);
      if (id === 1) at.answer({ kind: 'granted', totalBytes: null });
      await settled();
      const opened = at.replies.at(-1);
      assert.ok(opened?.kind === 'opened' && opened.provenBytes === null);
    }
  });

  it("is a preheat's, too, which asks for no shard of what a node claims", async () => {
    const at = streamFixture();
    at.facts.sized(KEY, LIE, 'owner');
    const size = ToldSize.of(at, BLOB, 'Bearer t');
    at.answer(GRANTED);
    assert.equal(await size, 900);
  });

  it('does not exist where the right is to an object of another size', async () => {
    const at = streamFixture({ check: 'strict' });
    at.open();
    await settled();
    at.answer(GRANTED);
    await settled();
    await at.deliver(0, 900);
    at.facts.sized(KEY, 800, 'digest');
    at.streams.size(1);
    await settled();
    const refused = at.replies.at(-1);
    assert.ok(refused?.kind === 'refused' && refused.error.code === 'DIGEST_MISMATCH');
  });
});
