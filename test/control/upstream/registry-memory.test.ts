import assert from 'node:assert/strict';
import { createPrivateKey, sign } from 'node:crypto';
import { ManualClock } from '../../../lib/clock.ts';
import { parseRecall, parseWords, WORDS_PATH } from '../../../lib/wire/recall.ts';
import { ClusterSecret } from '../../../lib/wire/secret.ts';
import { RegistryMemory } from '../../../lib/control/upstream/registry-memory.ts';
import { RECALL_NODES_MAX, WORD_KEEPERS } from '../../../lib/control/limits.ts';
import type { PeerCallResult } from '../../../lib/workers/peer/call.ts';
import { issueCertificate } from '../../origin/certificate.ts';

const SECRET = new ClusterSecret(Buffer.from('a secret of thirty-two characters'));
const SCOPE = 'repo r.example/app';
const MANIFEST = { digest: `sha256:${'ab'.repeat(32)}`, contentType: 'a/b' };
const TOKEN = `Bearer ${'t'.repeat(40)}`;

/** Nodes that speak to each other in this process; the rank is their order, for every name. */
class Cluster {
  readonly clock = new ManualClock();
  readonly memories = new Map<string, RegistryMemory>();
  readonly calls: { from: string; to: string; path: string }[] = [];
  readonly counts: string[] = [];
  readonly away = new Set<string>();
  readonly strangers = new Set<string>();
  readonly held = new Set<string>();
  readonly copies: [string, string, string][] = [];

  constructor(nodes: readonly string[], ttlMs = 3_600_000) {
    for (const self of nodes) {
      this.memories.set(
        self,
        new RegistryMemory({
          self,
          ttlMs,
          clock: this.clock,
          secret: SECRET,
          ranked: () => nodes,
          isMember: (node) => !this.strangers.has(node),
          has: (digest) => this.held.has(`${self} ${digest}`),
          copy: (digest, node) => this.copies.push([self, digest, node]),
          call: async (to, path, { words }) => this.#carry(self, to, path, words ?? null),
          count: (name) => this.counts.push(name),
        }),
      );
    }
  }

  at(node: string): RegistryMemory {
    return this.memories.get(node)!;
  }

  #carry(from: string, to: string, path: string, words: string | null): PeerCallResult {
    this.calls.push({ from, to, path });
    if (this.away.has(to))
      return { kind: 'failed', error: { code: 'PEER_TIMEOUT', message: 'away' } };
    if (path === WORDS_PATH) this.at(to).told(parseWords(words!)!);
    const said = path === WORDS_PATH ? {} : this.at(to).answer(parseRecall(path)!);
    return { kind: 'answer', status: 200, body: Buffer.from(JSON.stringify(said)), checksum: null };
  }
}

describe('control/registry-memory', () => {
  const nodes = ['n:1', 'n:2', 'n:3', 'n:4'];
  let cluster: Cluster;
  beforeEach(() => (cluster = new Cluster(nodes)));

  it('tells a node that never asked about rights, tags and manifests of another', async () => {
    await cluster.at('n:4').served(SCOPE, TOKEN, ['v1'], MANIFEST);
    cluster.clock.advance(60_000);
    assert.deepEqual(await cluster.at('n:3').recall(SCOPE, TOKEN, 'v1'), {
      right: { isGranted: true, ageMs: 60_000 },
      manifest: { ...MANIFEST, nodes: ['n:4'] },
    });
    const nothing = { right: null, manifest: null };
    assert.deepEqual(await cluster.at('n:3').recall(SCOPE, `${TOKEN}x`, 'v2'), nothing);
    assert.deepEqual((await cluster.at('n:3').recall(SCOPE, null, 'v1')).right, null);
    assert.deepEqual(await cluster.at('n:3').recall('repo r.example/other', TOKEN, 'v1'), nothing);
    assert.deepEqual(await cluster.at('n:3').recall(SCOPE, TOKEN, MANIFEST.digest), {
      right: { isGranted: true, ageMs: 60_000 },
      manifest: null,
    });
  });

  it('tells the first of the rank, and asks no more nodes than it may', async () => {
    const many = Array.from({ length: 30 }, (_, index) => `n:${index}`);
    cluster = new Cluster(many);
    await cluster.at('n:29').served(SCOPE, TOKEN, ['v1'], MANIFEST);
    assert.deepEqual(
      cluster.calls.map(({ to }) => to),
      many.slice(0, WORD_KEEPERS),
    );
    cluster.calls.length = 0;
    assert.notEqual((await cluster.at('n:20').recall(SCOPE, TOKEN, 'v1')).manifest, null);
    assert.deepEqual(
      cluster.calls.map(({ to }) => to),
      many.slice(0, RECALL_NODES_MAX),
    );
  });

  it('says nothing on the wire that could be read back', async () => {
    await cluster.at('n:4').served(SCOPE, 'Basic YWxpY2U6d29uZGVy', ['v1'], MANIFEST);
    await cluster.at('n:3').recall(SCOPE, 'Basic YWxpY2U6d29uZGVy', 'v1');
    for (const { path } of cluster.calls)
      assert.match(path, /^\/rpc\/(words|recall\/[0-9a-f]{64}(,[0-9a-f]{64})*)$/);
  });

  it('tells others once, and again only what is new or may be forgotten soon', async () => {
    for (let pull = 0; pull < 3; pull++)
      await cluster.at('n:4').served(SCOPE, TOKEN, ['v1'], MANIFEST);
    assert.equal(cluster.calls.length, WORD_KEEPERS);
    await cluster
      .at('n:4')
      .served(SCOPE, TOKEN, ['v1'], { ...MANIFEST, digest: `sha256:${'cd'.repeat(32)}` });
    assert.equal(cluster.calls.length, 2 * WORD_KEEPERS);
  });

  it('prefers the youngest news: a tag moved, a right withdrawn, a tag deleted', async () => {
    const moved = { ...MANIFEST, digest: `sha256:${'cd'.repeat(32)}` };
    await cluster.at('n:4').served(SCOPE, TOKEN, ['v1', 'v2'], MANIFEST);
    cluster.clock.advance(1_000);
    await cluster.at('n:3').served(SCOPE, null, ['v1'], moved);
    const asked = async (reference: string) => cluster.at('n:4').recall(SCOPE, TOKEN, reference);
    assert.deepEqual((await asked('v1')).manifest, { ...moved, nodes: ['n:3'] });
    await cluster.at('n:4').refused(SCOPE, TOKEN, 'v2', 404, true);
    assert.deepEqual(await asked('v2'), {
      right: { isGranted: true, ageMs: 1_000 },
      manifest: null,
    });
    await cluster.at('n:4').refused(SCOPE, TOKEN, 'v1', 401, true);
    assert.deepEqual((await asked('v1')).right, { isGranted: false, ageMs: 0 });
  });

  it('knows a client by its new token, if tokens name their client and issuer', async () => {
    const issuer = await issueCertificate('issuer');
    const token = (sub: string): string => {
      const seconds = cluster.clock.wallMs() / 1000;
      const claims = {
        iss: 'i',
        sub,
        aud: 'r',
        exp: seconds + 60,
        jti: Math.random(),
        access: [{ type: 'repository', name: 'app', actions: ['pull'] }],
      };
      const signed = [
        { alg: 'ES256', x5c: [issuer.certPem.replace(/-----[A-Z ]+-----|\s/g, '')] },
        claims,
      ]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.');
      return (
        'Bearer ' +
        `${signed}.${sign('sha256', Buffer.from(signed), {
          key: createPrivateKey(issuer.keyPem),
          dsaEncoding: 'ieee-p1363',
        }).toString('base64url')}`
      );
    };
    const right = async (authorization: string, scope = SCOPE) =>
      (await cluster.at('n:3').recall(scope, authorization, 'v1')).right?.isGranted;
    const first = token('alice');
    await cluster.at('n:4').served(SCOPE, first, ['v1'], MANIFEST);
    cluster.clock.advance(50_000);
    assert.deepEqual(
      [
        await right(token('alice')),
        await right(token('bob')),
        await right(token('alice'), 'repo other.example/app'),
      ],
      [true, undefined, undefined],
    );
    await cluster.at('n:4').refused(SCOPE, token('alice'), 'v1', 403, false);
    assert.deepEqual(
      [await right(token('alice')), await right(first)],
      [false, false],
      'whom the registry refuses a new token has none that counts',
    );
  });

  it('does not remember the refusals of who was never let in', async () => {
    await cluster.at('n:4').refused(SCOPE, TOKEN, 'v1', 401, true);
    await cluster.at('n:4').refused(SCOPE, TOKEN, 'v1', 404, false);
    assert.deepEqual(cluster.calls, []);
  });

  it('forgets after its time', async () => {
    await cluster.at('n:4').served(SCOPE, TOKEN, ['v1'], MANIFEST);
    cluster.clock.advance(3_599_999);
    assert.equal((await cluster.at('n:1').recall(SCOPE, TOKEN, 'v1')).right?.isGranted, true);
    cluster.clock.advance(1);
    assert.deepEqual(await cluster.at('n:1').recall(SCOPE, TOKEN, 'v1'), {
      right: null,
      manifest: null,
    });
  });

  it('is silent with a time of 0', async () => {
    cluster = new Cluster(nodes, 0);
    await cluster.at('n:4').served(SCOPE, null, ['v1'], MANIFEST);
    cluster.at('n:4').greeted('r.example', null);
    cluster.at('n:4').holds(SCOPE, MANIFEST);
    assert.deepEqual(await cluster.at('n:4').recall(SCOPE, null, 'v1'), {
      right: null,
      manifest: null,
    });
    assert.equal(await cluster.at('n:4').recallGreeting('r.example'), undefined);
    assert.deepEqual(cluster.calls, []);
  });

  it('knows how a registry greets: by its challenge where it has one, else openly', async () => {
    assert.equal(await cluster.at('n:3').recallGreeting('r.example'), undefined);
    await cluster.at('n:4').served(SCOPE, null, ['v1'], MANIFEST);
    assert.equal(await cluster.at('n:3').recallGreeting('r.example'), null);
    cluster.at('n:4').greeted('r.example', 'Basic realm="x"');
    assert.equal(await cluster.at('n:3').recallGreeting('r.example'), 'Basic realm="x"');
    assert.equal(await cluster.at('n:3').recallGreeting('other.example'), undefined);
  });

  it('works without nodes that do not answer, and refers nobody to a non-member', async () => {
    cluster.away.add('n:1');
    await cluster.at('n:4').served(SCOPE, TOKEN, ['v1'], MANIFEST);
    assert.deepEqual((await cluster.at('n:3').recall(SCOPE, TOKEN, 'v1')).manifest?.nodes, ['n:4']);
    cluster.strangers.add('n:4');
    assert.deepEqual(await cluster.at('n:3').recall(SCOPE, TOKEN, 'v1'), {
      right: null,
      manifest: null,
    });
    assert.deepEqual(
      new Set(cluster.counts),
      new Set(['memory.told', 'memory.untold', 'memory.found', 'memory.nothing']),
    );
  });

  it('has the keepers take a copy of the manifest, and names those who have one', async () => {
    await cluster.at('n:4').served(SCOPE, TOKEN, [MANIFEST.digest], MANIFEST);
    assert.deepEqual(cluster.copies, [
      ['n:1', MANIFEST.digest, 'n:4'],
      ['n:2', MANIFEST.digest, 'n:4'],
    ]);
    for (const node of ['n:1', 'n:2']) cluster.held.add(`${node} ${MANIFEST.digest}`);
    cluster.away.add('n:4');
    assert.deepEqual(
      (await cluster.at('n:3').recall(SCOPE, TOKEN, MANIFEST.digest)).manifest?.nodes,
      ['n:1', 'n:2'],
    );
    cluster.strangers.add('n:4');
    await cluster.at('n:4').served(SCOPE, null, ['v2'], MANIFEST);
    assert.equal(cluster.copies.length, 2, 'nothing is fetched from who is no member');
  });

  it('joins equal questions', async () => {
    await Promise.all(
      Array.from({ length: 5 }, () => cluster.at('n:4').recall(SCOPE, TOKEN, 'v1')),
    );
    assert.equal(cluster.calls.length, 3);
  });
});
