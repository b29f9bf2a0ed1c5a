import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseConfig } from '../../lib/config/load.ts';
import { readClusterSecret } from '../../lib/config/secret.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';

const SCRIPT = fileURLToPath(new URL('../../deploy/rotate-secret.sh', import.meta.url));

/** kubectl as far as the script uses it: one Secret in a file, and a log of rollouts. */
const KUBECTL = `#!/bin/sh
case "$*" in
*'get secret'*'.data.secret'*) cat "$STATE/secret" ;;
*'get secret'*'annotations'*) cat "$STATE/note" 2>/dev/null || true ;;
*'patch secret'*)
  sed 's/.*"secret":"\\([^"]*\\)".*/\\1/' >"$STATE/new" && mv "$STATE/new" "$STATE/secret" ;;
*annotate*) printf '%s' "$*" | sed 's/.*shoal.rotation=//' >"$STATE/note" ;;
*'get daemonsets'*) echo daemonset.apps/shoal-agent ;;
*'rollout restart'*)
  count="$(ls "$STATE" | grep -c '^roll-')"
  [ -e "$STATE/stop-at" ] && [ "$(cat "$STATE/stop-at")" = "$count" ] && exit 1
  cp "$STATE/secret" "$STATE/roll-$count" ;;
*'rollout status'*) ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
`;

describe('the rotation of the cluster secret', () => {
  let state: string;
  const old = 'o'.repeat(64);
  beforeEach(() => {
    state = mkdtempSync(join(tmpdir(), 'shoal-rotate-'));
    writeFileSync(join(state, 'kubectl'), KUBECTL, { mode: 0o755 });
    writeFileSync(join(state, 'secret'), Buffer.from(old).toString('base64'));
  });
  afterEach(() => rmSync(state, { recursive: true }));

  const rotate = () =>
    spawnSync(SCRIPT, [], {
      encoding: 'utf8',
      env: { ...process.env, STATE: state, PATH: `${state}${delimiter}${process.env['PATH']}` },
    });

  /** What a node reads that starts with the Secret of this moment. */
  function secretIn(name: string): ClusterSecret {
    const file = join(state, 'mounted');
    writeFileSync(file, Buffer.from(readFileSync(join(state, name), 'utf8'), 'base64'));
    const found = readClusterSecret(
      parseConfig({ P2PConfig: { secretFile: file } }, { env: { NODE_IP: '10.0.0.1' } }),
    );
    assert.ok(found.kind === 'secret');
    return new ClusterSecret(found.bytes, ...found.accepted);
  }
  const understands = (a: ClusterSecret, b: ClusterSecret): boolean =>
    a.verify(b.sign('/x', 0), '/x', 0) && a.open(b.seal('y')) === 'y';

  function assertNeverSplit(): void {
    const rolls = execFileSync('ls', [state], { encoding: 'utf8' })
      .split('\n')
      .filter((name) => name.startsWith('roll-'))
      .sort();
    const states = [new ClusterSecret(Buffer.from(old)), ...rolls.map(secretIn)];
    for (const [at, before] of states.slice(0, -1).entries()) {
      assert.ok(understands(before, states[at + 1]!), `rollout ${at}`);
      assert.ok(understands(states[at + 1]!, before), `rollout ${at}`);
    }
    assert.equal(understands(states[0]!, states.at(-1)!), false, 'the old secret is gone');
  }

  it('changes it in three rollouts, each of which understands the one before', () => {
    const { status, stderr } = rotate();
    assert.equal(status, 0, stderr);
    assertNeverSplit();
    assert.match(
      Buffer.from(readFileSync(join(state, 'secret'), 'utf8'), 'base64').toString(),
      /^[0-9a-f]{64}$/,
    );
  });

  for (const at of [0, 1, 2])
    it(`continues after an interruption before rollout ${at + 1}`, () => {
      writeFileSync(join(state, 'stop-at'), String(at));
      assert.notEqual(rotate().status, 0);
      rmSync(join(state, 'stop-at'));
      const { status, stderr } = rotate();
      assert.equal(status, 0, stderr);
      assertNeverSplit();
    });
});
