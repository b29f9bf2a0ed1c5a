import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { ShoalError } from '../../lib/errors.ts';
import { AccessLedger, type AccessOptions, type AccessRequest } from '../../lib/registry/access.ts';

const key = (fill: string): string => `sha256:${fill.repeat(64)}`;
const A = 'repo registry.example/a';
const B = 'repo registry.example/b';
const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const manifest = (...digests: string[]): Uint8Array =>
  new TextEncoder().encode(JSON.stringify({ layers: digests.map((digest) => ({ digest })) }));

function ledgerWith(over: Partial<AccessOptions> = {}): {
  ledger: AccessLedger;
  clock: ManualClock;
} {
  const clock = new ManualClock();
  return {
    clock,
    ledger: new AccessLedger({
      clock,
      ttlMs: 60_000,
      staleTtlMs: 3_600_000,
      check: 'strict',
      ...over,
    }),
  };
}

const ask = (
  scope: string,
  blob: string | null,
  authorization: string | null = 'Bearer alice',
): AccessRequest => ({ authorization, scope, key: blob });

/** A check whose failures are due to an outage, as far as the node can see. */
const checked = (
  ledger: AccessLedger,
  request: AccessRequest,
  say: () => Promise<number | null>,
): Promise<'granted' | 'stale'> => ledger.check(request, say, async () => true);

describe('registry/access: what a grant opens', () => {
  it('asks for a check before the first read, and no more within accessTtl', () => {
    const { ledger, clock } = ledgerWith();
    assert.equal(ledger.decide(ask(A, key('1'))), 'check');
    ledger.granted(ask(A, key('1')));
    assert.equal(ledger.decide(ask(A, key('1'))), 'granted');
    clock.advance(59_999);
    assert.equal(ledger.decide(ask(A, key('1'))), 'granted');
    assert.equal(ledger.remainingMs(ask(A, key('1'))), 1);
    clock.advance(1);
    assert.equal(ledger.decide(ask(A, key('1'))), 'check');
  });

  it('holds for that credential alone', () => {
    const { ledger } = ledgerWith();
    ledger.granted(ask(A, key('1')));
    for (const authorization of [null, '', 'Bearer mallory', 'bearer alice'])
      assert.equal(ledger.decide(ask(A, key('1'), authorization)), 'check', String(authorization));
    ledger.granted(ask(A, key('1'), null));
    assert.equal(
      ledger.decide(ask(A, key('1'), '')),
      'granted',
      'no header and an empty one are the same',
    );
  });

  it('does not open a blob that was only seen in another repository', () => {
    const { ledger } = ledgerWith();
    ledger.granted(ask(A, key('1')));
    ledger.granted(ask(B, key('2')));
    assert.equal(ledger.decide(ask(A, key('2'))), 'check');
    assert.equal(ledger.decide(ask(B, key('1'))), 'check');
  });

  it('opens blobs of a manifest relayed from the repository to all with a grant there', () => {
    const { ledger } = ledgerWith();
    ledger.noteManifest(A, manifest(key('1'), key('2')), IMAGE, 'registry');
    assert.equal(ledger.decide(ask(A, key('1'))), 'check', 'a proof is no grant');
    ledger.granted(ask(A, null));
    assert.equal(ledger.decide(ask(A, key('1'))), 'granted');
    assert.equal(ledger.decide(ask(A, key('3'))), 'check');
    assert.equal(ledger.decide(ask(B, key('1'))), 'check');
  });

  it('knows sizes of blobs by the manifests of their own repository', () => {
    const { ledger } = ledgerWith();
    const layers = [
      { digest: key('1'), size: 17 },
      { digest: key('2'), size: '17' },
    ];
    const body = new TextEncoder().encode(JSON.stringify({ layers }));
    ledger.noteManifest(A, body, IMAGE, 'registry');
    ledger.granted(ask(A, key('1')));
    assert.equal(ledger.saidBytes(ask(A, key('1'))), 17);
    assert.equal(ledger.sizeOf(ask(A, key('1'))), null, 'what a manifest says proves nothing');
    assert.equal(ledger.saidBytes(ask(A, key('2'))), null);
    assert.equal(ledger.saidBytes(ask(B, key('1'))), null);
  });

  it('needs no proof for a signed URL, which is about one blob', () => {
    const { ledger } = ledgerWith();
    ledger.granted({ authorization: null, scope: 'url 0123', key: key('1') });
    assert.equal(
      ledger.decide({ authorization: null, scope: 'url 0123', key: key('1') }),
      'granted',
    );
    assert.equal(ledger.decide({ authorization: null, scope: 'url 4567', key: key('1') }), 'check');
  });

  it('is taken back by a refusal; a 404 takes only the blob', () => {
    const { ledger } = ledgerWith();
    ledger.granted(ask(A, key('1')));
    ledger.granted(ask(A, key('2')));
    ledger.refused(ask(A, key('2')), 404);
    assert.equal(ledger.decide(ask(A, key('1'))), 'granted');
    assert.equal(ledger.decide(ask(A, key('2'))), 'check');
    ledger.refused(ask(A, key('1')), 403);
    assert.equal(ledger.decide(ask(A, key('1'))), 'check');
  });

  it('lets everybody read with checks off', () => {
    const { ledger } = ledgerWith({ check: 'off' });
    assert.equal(ledger.decide(ask(A, key('1'), null)), 'granted');
    assert.equal(ledger.remainingMs(ask(A, key('1'), null)), Infinity);
  });

  it('keeps a bounded number of grants and proofs', () => {
    const { ledger } = ledgerWith({ grantsMax: 2, proofsMax: 2 });
    for (const fill of ['1', '2', '3']) ledger.granted(ask(`repo r/${fill}`, key(fill)));
    assert.deepEqual(
      ['1', '2', '3'].map((fill) => ledger.decide(ask(`repo r/${fill}`, key(fill)))),
      ['check', 'granted', 'granted'],
    );
  });
});

describe('registry/access: check', () => {
  const down = new ShoalError('ORIGIN_UNREACHABLE', 'down');
  const refusal = (status: number): ShoalError =>
    new ShoalError('ORIGIN_REFUSED', 'no', { status });

  it('runs one check for many equal requests, and none while the grant lasts', async () => {
    const { ledger } = ledgerWith();
    let asked = 0;
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const slow = async (): Promise<null> => {
      asked++;
      await gate;
      return null;
    };
    const checks = Array.from({ length: 8 }, () => checked(ledger, ask(A, key('1')), slow));
    open();
    assert.deepEqual(new Set(await Promise.all(checks)), new Set(['granted']));
    assert.equal(await checked(ledger, ask(A, key('1')), slow), 'granted');
    assert.equal(asked, 1);
  });

  it('runs one check for all proven blobs of a repository, and one for each other', async () => {
    const { ledger } = ledgerWith();
    ledger.noteManifest(A, manifest(key('1'), key('2')), IMAGE, 'registry');
    const asked: string[] = [];
    const checkOf = (blob: string) => checked(ledger, ask(A, blob), async () => asked.push(blob));
    await Promise.all([checkOf(key('1')), checkOf(key('2')), checkOf(key('3')), checkOf(key('4'))]);
    assert.deepEqual(asked, [key('1'), key('3'), key('4')]);
  });

  it('does not refuse a blob because another of its repository is gone', async () => {
    for (const error of [refusal(404), new ShoalError('DIGEST_MISMATCH', 'another size')]) {
      const { ledger } = ledgerWith();
      ledger.noteManifest(A, manifest(key('1'), key('2'), key('3')), IMAGE, 'registry');
      const asked: string[] = [];
      const checkOf = (blob: string) =>
        checked(ledger, ask(A, blob), async () => {
          asked.push(blob);
          if (blob === key('1')) throw error;
          return null;
        });
      const checks = await Promise.allSettled(['1', '2', '3'].map((fill) => checkOf(key(fill))));
      assert.deepEqual(
        checks.map(({ status }) => status),
        ['rejected', 'fulfilled', 'fulfilled'],
      );
      assert.deepEqual(asked, [key('1'), key('2')], 'one check more for all who waited');
    }
  });

  it("remembers the size that a right was proven for, by scope, not a manifest's", async () => {
    const { ledger } = ledgerWith();
    for (const scope of [A, 'url 0123']) {
      assert.equal(ledger.sizeOf(ask(scope, key('1'))), null);
      await checked(ledger, ask(scope, key('1')), async () => 19);
      ledger.noteManifest(scope, manifest(key('1'), key('2')), IMAGE, 'registry');
      assert.deepEqual(
        [key('1'), key('2')].map((blob) => ledger.sizeOf(ask(scope, blob))),
        [19, null],
      );
    }
    assert.equal(ledger.sizeOf(ask(B, key('1'))), null);
  });

  it('does not let one client ride on the check of another', async () => {
    const { ledger } = ledgerWith();
    let asked = 0;
    const count = async (): Promise<number> => asked++;
    await Promise.all(
      ['Bearer alice', 'Bearer bob', null].map((authorization) =>
        checked(ledger, ask(A, key('1'), authorization), count),
      ),
    );
    assert.equal(asked, 3);
  });

  it('passes a refusal on to all who waited, and asks again the next time', async () => {
    const { ledger } = ledgerWith();
    const checks = [1, 2].map(() =>
      checked(ledger, ask(A, key('1')), () => Promise.reject(refusal(401))),
    );
    for (const result of await Promise.allSettled(checks))
      assert.ok(
        result.status === 'rejected' &&
          result.reason instanceof ShoalError &&
          result.reason.status === 401,
      );
    assert.equal(await checked(ledger, ask(A, key('1')), async () => null), 'granted');
  });

  it('counts an old right as stale while the upstream is down, and only then', async () => {
    const { ledger, clock } = ledgerWith();
    ledger.granted(ask(A, key('1')));
    clock.advance(61_000);
    assert.equal(await checked(ledger, ask(A, key('1')), () => Promise.reject(down)), 'stale');
    assert.equal(
      await checked(ledger, ask(A, key('1')), () => Promise.reject(refusal(503))),
      'stale',
    );
    await assert.rejects(
      checked(ledger, ask(B, key('1')), () => Promise.reject(down)),
      down,
    );
    await assert.rejects(checked(ledger, ask(A, key('1')), () => Promise.reject(refusal(403))));
    await assert.rejects(
      checked(ledger, ask(A, key('1')), () => Promise.reject(down)),
      down,
      'refused since',
    );
  });

  it('counts no old right without a confirmed outage, or after a refusal meanwhile', async () => {
    const { ledger, clock } = ledgerWith();
    const request = ask(A, key('1'));
    ledger.granted(request);
    clock.advance(61_000);
    const failed = (): Promise<number | null> => Promise.reject(down);
    await assert.rejects(
      ledger.check(request, failed, async () => false),
      down,
    );
    await assert.rejects(
      ledger.check(request, failed, async () => {
        ledger.refused(request, 401);
        return true;
      }),
      down,
    );
  });

  it('lets no word of another node bring back a credential that was refused since', () => {
    const { ledger, clock } = ledgerWith();
    const request = ask(A, null);
    ledger.granted(request);
    clock.advance(10_000);
    ledger.refused(request, 401);
    ledger.heardGranted(request, 1);
    ledger.heardGranted(request, 0);
    assert.equal(ledger.mayReadStale(request), false);
    clock.advance(5_000);
    ledger.heardGranted(request, 5_000);
    assert.equal(ledger.mayReadStale(request), false);
    ledger.heardGranted(request, 4_000);
    assert.equal(ledger.mayReadStale(request), true, 'accepted again');
  });

  it('ends the stale right with accessStaleTtl, and has none at 0', async () => {
    const { ledger, clock } = ledgerWith();
    ledger.granted(ask(A, key('1')));
    clock.advance(3_600_000);
    await assert.rejects(
      checked(ledger, ask(A, key('1')), () => Promise.reject(down)),
      down,
    );
    const strict = ledgerWith({ staleTtlMs: 0 });
    strict.ledger.granted(ask(A, key('1')));
    strict.clock.advance(60_001);
    await assert.rejects(
      checked(strict.ledger, ask(A, key('1')), () => Promise.reject(down)),
      down,
    );
  });
});
