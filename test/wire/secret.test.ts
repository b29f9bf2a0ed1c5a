import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ClusterSecret } from '../../lib/wire/secret.ts';

const TEXT = 'GET /rpc/pread/sha256:00/1?from=0&node=a:1';
const WALL_MS = 1_700_000_000_000;

describe('wire/secret', () => {
  const secret = new ClusterSecret(Buffer.alloc(32, 7));
  const stranger = new ClusterSecret(Buffer.alloc(32, 8));

  it('knows what it signed', () => {
    assert.equal(secret.verify(secret.sign(TEXT, WALL_MS), TEXT, WALL_MS), true);
    assert.equal(
      new ClusterSecret(Buffer.alloc(32, 7)).verify(
        secret.sign(TEXT, WALL_MS),
        TEXT,
        WALL_MS + 500,
      ),
      true,
    );
  });

  it('accepts another secret while one is replaced, and uses its own', () => {
    const [a, b] = [Buffer.alloc(32, 7), Buffer.alloc(32, 9)];
    // The steps of a rotation: each of them understands the one before and the one after.
    const steps = [
      new ClusterSecret(a),
      new ClusterSecret(a, b),
      ClusterSecret.ofHex(`${b.toString('hex')},${a.toString('hex')}`),
      new ClusterSecret(b),
    ];
    const understands = (one: ClusterSecret, other: ClusterSecret): boolean =>
      one.verify(other.sign(TEXT, WALL_MS), TEXT, WALL_MS) &&
      one.open(other.seal('credential')) === 'credential';
    for (const [at, step] of steps.entries())
      for (const [otherAt, other] of steps.entries())
        if (Math.abs(at - otherAt) <= 1) assert.ok(understands(step, other), `${at}, ${otherAt}`);
    assert.equal(understands(steps[0]!, steps[3]!), false);
    assert.equal(steps[2]!.opaqueName('x'), steps[3]!.opaqueName('x'));
  });

  it("rejects another secret's signature and another text", () => {
    assert.equal(secret.verify(stranger.sign(TEXT, WALL_MS), TEXT, WALL_MS), false);
    const signature = secret.sign(TEXT, WALL_MS);
    for (const text of [`${TEXT}&load=0`, TEXT.replace('/1?', '/2?'), ''])
      assert.equal(secret.verify(signature, text, WALL_MS), false);
  });

  it('turns away a captured request a minute later, and one from the future', () => {
    const header = secret.sign(TEXT, WALL_MS);
    assert.equal(secret.verify(header, TEXT, WALL_MS + 59_000), true);
    assert.equal(secret.verify(header, TEXT, WALL_MS + 61_000), false);
    assert.equal(secret.verify(header, TEXT, WALL_MS - 61_000), false);
  });

  it('does not let the time be changed', () => {
    const header = secret.sign(TEXT, WALL_MS).replace(String(WALL_MS), String(WALL_MS + 90_000));
    assert.equal(secret.verify(header, TEXT, WALL_MS + 90_000), false);
  });

  it('finds every changed digit of a signature', () => {
    const header = secret.sign(TEXT, WALL_MS);
    for (let digit = header.indexOf('.') + 1; digit < header.length; digit++) {
      const changed =
        header.slice(0, digit) + (header[digit] === '0' ? '1' : '0') + header.slice(digit + 1);
      assert.equal(secret.verify(changed, TEXT, WALL_MS), false, `digit ${digit}`);
    }
  });

  it('accepts nothing before or after a signature', () => {
    const secret = new ClusterSecret(Buffer.alloc(32, 1));
    const signature = secret.sign('text', 1_000_000);
    assert.equal(secret.verify(signature, 'text', 1_000_000), true);
    const [time, digits] = signature.split('.') as [string, string];
    for (const other of [`${signature}/`, `${signature}0`, `${time}.${digits.toUpperCase()}`])
      assert.equal(secret.verify(other, 'text', 1_000_000), false, other);
  });

  it('survives whatever is sent as a signature', () => {
    const hostile = fc.oneof(
      fc.string(),
      fc.string().map((text) => `${WALL_MS}.${text}`),
      fc.constantFrom(
        '',
        '.',
        `${WALL_MS}`,
        `${WALL_MS}.`,
        `-1.${'00'.repeat(32)}`,
        `1e9.${'00'.repeat(32)}`,
      ),
    );
    fc.assert(fc.property(hostile, (header) => !secret.verify(header, TEXT, WALL_MS)));
  });

  it("opens its own seals and nobody else's", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        (text) =>
          secret.open(secret.seal(text)) === text && stranger.open(secret.seal(text)) === null,
      ),
    );
  });

  it('makes every seal another, so that equal credentials do not show', () => {
    assert.notEqual(secret.seal('Bearer t'), secret.seal('Bearer t'));
  });

  it('opens no seal of which a byte was changed or that was cut', () => {
    const sealed = Buffer.from(secret.seal('Bearer t'), 'base64url');
    for (let byte = 0; byte < sealed.length; byte++) {
      const changed = Buffer.from(sealed);
      changed[byte]! ^= 1;
      assert.equal(secret.open(changed.toString('base64url')), null, `byte ${byte}`);
      assert.equal(
        secret.open(sealed.subarray(0, byte).toString('base64url')),
        null,
        `cut at ${byte}`,
      );
    }
    fc.assert(fc.property(fc.string(), (text) => secret.open(text) === null));
  });
});
