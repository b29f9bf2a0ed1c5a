import assert from 'node:assert/strict';
import { isVouched, strongerSize, type SizeProvenance } from '../../lib/registry/blob-size.ts';

const ORDER: SizeProvenance[] = ['heard', 'owner', 'upstream', 'digest'];

describe('registry/blob-size', () => {
  it('believes the stronger provenance, whichever came first', () => {
    for (const [weak, weaker] of ORDER.entries())
      for (const stronger of ORDER.slice(weak + 1)) {
        const [one, other] = [
          { bytes: 1, provenance: weaker },
          { bytes: 2, provenance: stronger },
        ];
        assert.equal(strongerSize(one, other), other);
        assert.equal(strongerSize(other, one), other);
      }
  });

  it('believes the newer of two of the same provenance, unless the digest is verified', () => {
    for (const provenance of ORDER) {
      const [known, said] = [
        { bytes: 1, provenance },
        { bytes: 2, provenance },
      ];
      assert.equal(strongerSize(known, said), provenance === 'digest' ? known : said);
    }
    assert.deepEqual(strongerSize(null, { bytes: 3, provenance: 'heard' }), {
      bytes: 3,
      provenance: 'heard',
    });
  });

  it("holds other sources to a size only if the blob's own source or its digest said it", () => {
    assert.deepEqual(
      ORDER.map((provenance) => isVouched({ bytes: 1, provenance })),
      [false, false, true, true],
    );
    assert.equal(isVouched(null), false);
  });
});
