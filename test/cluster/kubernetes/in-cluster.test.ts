import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../../lib/clock.ts';
import { InClusterConnection } from '../../../lib/cluster/kubernetes/in-cluster.ts';
import { KUBE_TOKEN_TTL_MS } from '../../../lib/limits.ts';
import { makeAuthority } from '../../../lib/tls/authority.ts';

describe("a pod's connection to the API server", () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'shoal-account-'))));
  afterEach(() => rmSync(dir, { recursive: true }));

  it('follows a new token and a new CA without a restart', async () => {
    const clock = new ManualClock();
    const put = (token: string, ca: string): void => {
      writeFileSync(join(dir, 'token'), `${token}\n`);
      writeFileSync(join(dir, 'ca.crt'), ca);
    };
    const [ca, next] = await Promise.all(
      ['one', 'two'].map(async (name) => (await makeAuthority(name, 1, Date.now())).certificate),
    );
    put('token-1', ca!);
    const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1', SHOAL_SERVICE_ACCOUNT_DIR: dir };
    const connection = new InClusterConnection(env, clock);
    const first = await connection.credentials();
    assert.equal(first.headers['authorization'], 'Bearer token-1');

    put('token-2', ca!);
    assert.equal((await connection.credentials()).headers['authorization'], 'Bearer token-1');
    clock.advance(KUBE_TOKEN_TTL_MS);
    const second = await connection.credentials();
    assert.equal(second.headers['authorization'], 'Bearer token-2');
    assert.equal(second.dispatcher, first.dispatcher, 'the same CA keeps the connections');

    put('token-2', next!);
    clock.advance(KUBE_TOKEN_TTL_MS);
    assert.notEqual((await connection.credentials()).dispatcher, first.dispatcher);
  });
});
