import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { Gate } from '../../../lib/control/upstream/access-gate.ts';
import { GRANT_MS_MAX } from '../../../lib/control/limits.ts';
import { AccessLedger } from '../../../lib/registry/access.ts';
import type { ShoalError } from '../../../lib/errors.ts';
import type { BlobSize } from '../../../lib/registry/blob-size.ts';
import { Outages } from '../../../lib/origin/outages.ts';
import type { ProbeJob, ProbeResult } from '../../../lib/workers/pool.ts';
import { KEY, settled } from '../fixture.ts';

const BLOB = {
  key: KEY,
  url: 'https://r.example/v2/app/blobs/x',
  upstreamHost: 'r.example',
  scope: 'repo r.example/app',
  pathname: '/x',
};

describe('control/gate', () => {
  let clock: ManualClock;
  let answer: ProbeResult;
  let probes: ProbeJob[];
  let known: BlobSize | null;
  let sizes: [string, number][];
  let counts: string[];
  let outages: Outages;
  let pinged: number | null;
  let heads: [url: string, authorization: string | null][];
  let isWhole: boolean;
  let headStatus: number | null;

  beforeEach(() => {
    clock = new ManualClock();
    outages = new Outages(clock, async () => pinged);
    pinged = null;
    answer = { kind: 'granted', totalBytes: 4_096 };
    known = null;
    [probes, sizes, counts] = [[], [], []];
    [heads, isWhole, headStatus] = [[], true, 200];
  });

  function gate(options: { ttlMs?: number; check?: 'strict' | 'off' } = {}): Gate {
    return new Gate({
      ledger: new AccessLedger({
        clock,
        ttlMs: options.ttlMs ?? 30_000,
        staleTtlMs: 3_600_000,
        check: options.check ?? 'strict',
      }),
      outages,
      probe: async (job) => {
        probes.push(job);
        return answer;
      },
      servesWhole: () => isWhole,
      headManifest: async (place, authorization) => {
        heads.push([place.url, authorization]);
        return headStatus;
      },
      sized({ key }, bytes) {
        sizes.push([key, bytes]);
        return known ?? { bytes, provenance: 'upstream' };
      },
      count: (name) => counts.push(name),
    });
  }

  it("asks the upstream once with the client's credential, and keeps the grant", async () => {
    // As long as it counts.
    const at = gate();
    assert.equal(at.remembered(BLOB, 'Bearer t'), null);
    assert.deepEqual(await Promise.all([at.check(BLOB, 'Bearer t'), at.check(BLOB, 'Bearer t')]), [
      { forMs: 30_000, stale: false },
      { forMs: 30_000, stale: false },
    ]);
    assert.deepEqual(probes, [
      { kind: 'probe', url: BLOB.url, upstreamHost: 'r.example', authorization: 'Bearer t' },
    ]);
    assert.deepEqual(sizes, [[KEY, 4_096]]);
    clock.advance(10_000);
    assert.equal(at.remembered(BLOB, 'Bearer t'), 20_000);
    assert.equal(at.remembered(BLOB, 'Bearer other'), null);
    assert.equal(at.remembered(BLOB, null), null);
    clock.advance(20_000);
    assert.equal(at.remembered(BLOB, 'Bearer t'), null);
    assert.deepEqual(counts, ['access.granted', 'access.remembered']);
  });

  it('passes on what the upstream says, and remembers nothing', async () => {
    const at = gate();
    answer = {
      kind: 'failed',
      error: {
        code: 'ORIGIN_REFUSED',
        message: 'no',
        status: 401,
        headers: { 'www-authenticate': 'Bearer realm="x"' },
      },
    };
    await assert.rejects(at.check(BLOB, null), {
      code: 'ORIGIN_REFUSED',
      status: 401,
      headers: { 'www-authenticate': 'Bearer realm="x"' },
    });
    assert.equal(at.remembered(BLOB, null), null);
    assert.deepEqual(counts, ['access.refused']);
  });

  it('lets a stale right count while the registry is down, for this request only', async () => {
    const at = gate();
    await at.check(BLOB, 'Bearer t');
    clock.advance(60_000);
    answer = { kind: 'failed', error: { code: 'ORIGIN_UNREACHABLE', message: 'down' } };
    assert.deepEqual(await at.check(BLOB, 'Bearer t'), { forMs: 0, stale: true });
    assert.equal(at.remembered(BLOB, 'Bearer t'), null);
    await assert.rejects(at.check(BLOB, 'Bearer never seen'), { code: 'ORIGIN_UNREACHABLE' });
    assert.deepEqual(counts, ['access.granted', 'access.failed', 'access.stale', 'access.failed']);
  });

  it('does not let a holder of an old right wait for a registry that times out', async () => {
    // The registry is asked in the background, once a second.
    const at = gate();
    await at.check(BLOB, 'Bearer t');
    clock.advance(60_000);
    answer = { kind: 'failed', error: { code: 'ORIGIN_TIMEOUT', message: 'late' } };
    await at.check(BLOB, 'Bearer t');
    assert.equal(probes.length, 2);
    for (let read = 0; read < 5; read++)
      assert.deepEqual(await at.check(BLOB, 'Bearer t'), { forMs: 0, stale: true });
    assert.equal(probes.length, 2);
    await assert.rejects(at.check(BLOB, 'Bearer never seen'), { code: 'ORIGIN_TIMEOUT' });
    clock.advance(1_000);
    answer = { kind: 'failed', error: { code: 'ORIGIN_REFUSED', message: 'no', status: 403 } };
    assert.equal((await at.check(BLOB, 'Bearer t')).stale, true);
    await settled();
    await assert.rejects(at.check(BLOB, 'Bearer t'), { status: 403 });
  });

  for (const error of [
    { code: 'ORIGIN_TIMEOUT', message: 'late' },
    { code: 'ORIGIN_UNREACHABLE', message: 'reset' },
    { code: 'ORIGIN_REFUSED', message: 'no', status: 500 },
    { code: 'ORIGIN_REFUSED', message: 'too many', status: 503 },
    { code: 'ORIGIN_BUSY', message: 'too many' },
    { code: 'ORIGIN_BROKEN', message: 'no http' },
  ] as const)
    it(`${error.code} (${error.message}) is no outage if the registry answers pings`, async () => {
      const at = gate();
      await at.check(BLOB, 'Bearer t');
      clock.advance(60_000);
      answer = { kind: 'failed', error };
      for (pinged of [200, 401, 404, 503])
        for (let read = 0; read < 2; read++)
          await assert.rejects(at.check(BLOB, 'Bearer t'), { code: error.code });
      assert.equal(outages.isDown(BLOB.url), false);
    });

  it('believes other nodes about a right during an outage only, the youngest first', async () => {
    const at = gate();
    at.relayed(BLOB.scope, 'Bearer other', KEY);
    at.heard(BLOB.scope, 'Bearer t', { isGranted: true, ageMs: 10_000 });
    assert.equal(at.remembered(BLOB, 'Bearer t'), null);
    assert.equal(at.mayHaveStale(BLOB.scope, 'Bearer t'), true);
    at.heard(BLOB.scope, 'Bearer t', { isGranted: false, ageMs: 20_000 });
    assert.equal(at.mayHaveStale(BLOB.scope, 'Bearer t'), true);
    at.heard(BLOB.scope, 'Bearer t', { isGranted: false, ageMs: 5_000 });
    assert.equal(at.mayHaveStale(BLOB.scope, 'Bearer t'), false);
    at.heard(BLOB.scope, 'Bearer t', { isGranted: true, ageMs: 6_000 });
    assert.equal(at.mayHaveStale(BLOB.scope, 'Bearer t'), false, 'refused since');
    at.heard(BLOB.scope, 'Bearer t', { isGranted: true, ageMs: 4_000 });
    assert.equal(at.mayHaveStale(BLOB.scope, 'Bearer t'), true);
    clock.advance(3_596_000);
    assert.equal(at.mayHaveStale(BLOB.scope, 'Bearer t'), false);
  });

  it('opens the blobs of a manifest to the credential that fetched it', () => {
    const at = gate();
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { digest: KEY, size: 1 },
      layers: [],
    });
    at.relayed(BLOB.scope, 'Bearer t', null);
    at.noteManifest(
      BLOB.scope,
      new TextEncoder().encode(manifest),
      'application/vnd.oci.image.manifest.v1+json',
      'registry',
    );
    assert.equal(at.remembered(BLOB, 'Bearer t'), 30_000);
    assert.equal(at.remembered(BLOB, 'Bearer other'), null);
    assert.equal(at.remembered({ ...BLOB, scope: 'repo r.example/other' }, 'Bearer t'), null);
  });

  describe('when a right has ended and the origin serves the blob only as a whole', () => {
    const place = { url: 'https://r.example/v2/app/manifests/v1', upstreamHost: 'r.example' };
    const ended = async (): Promise<Gate> => {
      const at = gate();
      await at.check(BLOB, 'Bearer t');
      at.relayed(BLOB.scope, 'Bearer t', `sha256:${'cd'.repeat(32)}`, place);
      clock.advance(30_000);
      probes = [];
      return at;
    };

    it('asks for the manifest, once, and for no byte of the blob', async () => {
      const at = await ended();
      await Promise.all([at.check(BLOB, 'Bearer t'), at.check(BLOB, 'Bearer t')]);
      assert.deepEqual([heads, probes], [[[place.url, 'Bearer t']], []]);
      assert.equal(at.remembered(BLOB, 'Bearer t'), 30_000);
    });

    it('asks for the blob if the manifest does not open, or parts are served', async () => {
      for (headStatus of [401, 403, 404, 405, 503, null]) {
        await (await ended()).check(BLOB, 'Bearer t');
        assert.equal(probes.length, 1, `${headStatus}`);
      }
      const before = heads.length;
      isWhole = false;
      await (await ended()).check(BLOB, 'Bearer t');
      assert.deepEqual([heads.length, probes.length], [before, 1]);
    });

    it('asks for a blob that the repository is not known to hold', async () => {
      const at = await ended();
      await at.check({ ...BLOB, key: `sha256:${'ef'.repeat(32)}` }, 'Bearer t');
      assert.equal(probes.length, 1);
    });
  });

  it('never lets a front go longer without asking than it may', async () => {
    const at = gate({ ttlMs: GRANT_MS_MAX * 10 });
    assert.equal((await at.check(BLOB, 'Bearer t')).forMs, GRANT_MS_MAX);
    assert.equal(at.remembered(BLOB, 'Bearer t'), GRANT_MS_MAX);
    assert.equal(gate({ check: 'off' }).remembered(BLOB, null), GRANT_MS_MAX);
  });

  it("refuses an object whose size is not the verified blob's, and tells no size", async () => {
    known = { bytes: 5_000, provenance: 'digest' };
    await assert.rejects(gate().check(BLOB, 'Bearer t'), ({ code, message }: ShoalError) => {
      assert.equal(code, 'DIGEST_MISMATCH');
      assert.doesNotMatch(message, /5.?000|4.?096/);
      return true;
    });
    assert.equal(gate().remembered(BLOB, 'Bearer t'), null);
  });

  it('proves a blob by the digest in a manifest, whatever key stores its bytes', async () => {
    const at = gate();
    at.relayed(BLOB.scope, 'Bearer t', KEY);
    assert.equal(at.remembered({ ...BLOB, key: 'url:12ab', digest: KEY }, 'Bearer t'), 30_000);
    assert.equal(at.remembered({ ...BLOB, key: 'url:12ab' }, 'Bearer t'), null);
  });

  it('tells of what size the blob must be, for when its own is not known here yet', async () => {
    for (const scope of [BLOB.scope, 'url 12ab']) {
      const at = gate();
      await at.check({ ...BLOB, scope }, null);
      assert.equal(at.sizeOf({ ...BLOB, scope }, null), 4_096);
      assert.equal(at.sizeOf({ ...BLOB, scope: 'url 34cd' }, null), null);
    }
    const open = gate({ check: 'off' });
    open.relayed(BLOB.scope, null, KEY);
    assert.equal(open.sizeOf(BLOB, null), null);
  });
});
