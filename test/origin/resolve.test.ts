import assert from 'node:assert/strict';
import { NameResolver, type ResolverTools } from '../../lib/origin/resolve.ts';

const unknown = (): Error => Object.assign(new Error('unknown'), { code: 'ENOTFOUND' });

describe('origin/resolve', () => {
  let queries: string[];
  let system: string[];
  let files: Record<string, string>;
  let records: Record<string, string[] | 'silent'>;
  let nowMs: number;

  beforeEach(() => {
    [queries, system, nowMs] = [[], [], 0];
    [files, records] = [{}, {}];
  });

  function resolver(): NameResolver {
    const tools: ResolverTools = {
      readFile: async (path) => files[path] ?? Promise.reject(unknown()),
      query(name, family) {
        queries.push(`${name} ${family}`);
        const found = records[`${name} ${family}`];
        if (found === 'silent') return new Promise(() => undefined);
        return found === undefined ? Promise.reject(unknown()) : Promise.resolve(found);
      },
      system(name) {
        system.push(name);
        return Promise.reject(unknown());
      },
      nowMs: () => nowMs,
      after: () => Promise.resolve(),
    };
    return new NameResolver(tools);
  }

  it('takes what /etc/hosts says, and reads it again once in a while', async () => {
    files['/etc/hosts'] = '127.0.0.1 localhost\n10.0.0.7\tr.example R2 # r3\n::1 localhost\n';
    const at = resolver();
    assert.deepEqual(await at.resolve('LOCALHOST'), ['127.0.0.1', '::1']);
    assert.deepEqual(await at.resolve('r2'), ['10.0.0.7']);
    await assert.rejects(at.resolve('r3'));
    files['/etc/hosts'] = '10.0.0.8 r2\n';
    nowMs = 60_000;
    assert.deepEqual(await at.resolve('r2'), ['10.0.0.8']);
  });

  it('asks for both families, and waits for neither when the other has answered', async () => {
    records = { 'a.example 4': ['1.2.3.4'], 'a.example 6': ['::2'] };
    assert.deepEqual(await resolver().resolve('a.example'), ['1.2.3.4', '::2']);
    records = { 'a.example 4': ['1.2.3.4'], 'a.example 6': 'silent' };
    assert.deepEqual(await resolver().resolve('a.example'), ['1.2.3.4']);
    records = { 'a.example 4': 'silent', 'a.example 6': ['::2'] };
    assert.deepEqual(await resolver().resolve('a.example'), ['::2']);
    records = { 'a.example 6': ['::2'] };
    assert.deepEqual(await resolver().resolve('a.example'), ['::2']);
  });

  it('goes by the search list and ndots of /etc/resolv.conf', async () => {
    files['/etc/resolv.conf'] =
      'nameserver 10.0.0.1\nsearch ns.svc.cluster.local svc.cluster.local.\noptions ndots:5\n';
    records = { 'r.svc.cluster.local 4': ['10.1.1.1'], 'r.example.com 4': ['10.2.2.2'] };
    assert.deepEqual(await resolver().resolve('r'), ['10.1.1.1']);
    assert.ok(queries.includes('r.ns.svc.cluster.local 4'), 'in order');
    assert.deepEqual(await resolver().resolve('r.example.com'), ['10.2.2.2']);
    queries = [];
    assert.deepEqual(await resolver().resolve('r.example.com.'), ['10.2.2.2']);
    assert.deepEqual(queries, ['r.example.com 4', 'r.example.com 6']);
  });

  it('asks the system only for what DNS does not know', async () => {
    await assert.rejects(resolver().resolve('x.example'), { code: 'ENOTFOUND' });
    assert.deepEqual(system, ['x.example']);
  });

  it('looks a silent name up once, however many ask, and others beside it', async () => {
    records = { 'a.example 4': 'silent', 'a.example 6': 'silent', 'b.example 4': ['1.1.1.1'] };
    const at = resolver();
    void at.resolve('a.example');
    void at.resolve('a.example');
    assert.deepEqual(await at.resolve('b.example'), ['1.1.1.1']);
    assert.deepEqual(queries.filter((query) => query.startsWith('a')).length, 2);
    assert.deepEqual(system, []);
  });
});
