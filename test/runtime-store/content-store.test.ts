import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Arena } from '../../lib/io/arena.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import { readFilePart } from '../../lib/io/file-part.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { LocalContentStore, namesIn } from '../../lib/runtime-store/content-store.ts';
import { findContentStore } from '../../lib/runtime-store/places.ts';

const HEX = 'c'.repeat(64);
const DIGEST = `sha256:${HEX}`;
const CONTENT = 'io.containerd.content.v1.content';

describe("runtime-store: containerd's files", () => {
  let root: string;
  let dir: string;
  let content: LocalContentStore;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'shoal-content-'));
    dir = join(root, CONTENT);
    await mkdir(join(dir, 'blobs/sha256'), { recursive: true });
    await mkdir(join(dir, 'ingest'));
    content = new LocalContentStore(dir);
  });

  afterEach(() => rm(root, { recursive: true }));

  const ingest = async (name: string, ref: string, bytes: string): Promise<string> => {
    await mkdir(join(dir, 'ingest', name));
    await writeFile(join(dir, 'ingest', name, 'ref'), ref);
    await writeFile(join(dir, 'ingest', name, 'data'), bytes);
    return join(dir, 'ingest', name, 'data');
  };

  it('finds the ingest of a blob by its reference, and follows it to its commit', async () => {
    await ingest('one', `default/1/layer-sha256:${'d'.repeat(64)}`, 'other');
    await mkdir(join(dir, 'ingest/empty'));
    assert.equal(await content.find(DIGEST), null);
    const data = await ingest('two', `k8s.io/7/layer-${DIGEST}`, 'four');
    const file = (await content.find(DIGEST))!;
    assert.deepEqual(
      [file.kind, file.path, file.sizeBytes, file.isLayer],
      ['ingest', data, 4, true],
    );
    await appendFile(data, '5678');
    const grown = (await content.again(DIGEST, file))!;
    assert.deepEqual([grown.sizeBytes, grown.identity], [8, file.identity]);
    await rename(data, join(dir, 'blobs/sha256', HEX));
    const committed = (await content.again(DIGEST, grown))!;
    assert.deepEqual([committed.kind, committed.sizeBytes, committed.isLayer], ['blob', 8, true]);
    assert.deepEqual([...(await content.blobs()).keys()], [DIGEST]);
    await rm(committed.path);
    assert.equal(await content.again(DIGEST, committed), null);
    assert.equal(await content.find(DIGEST), null);
  });

  it('finds a blob that is committed while its ingest is looked for', async () => {
    const data = await ingest('one', `k8s.io/7/layer-${DIGEST}`, 'four');
    content = new LocalContentStore(dir, async (folder) => {
      await rename(data, join(dir, 'blobs/sha256', HEX));
      return namesIn(folder);
    });
    assert.equal((await content.find(DIGEST))?.kind, 'blob');
  });

  it('has no blobs when containerd has started and pulled nothing yet', async () => {
    await rm(join(dir, 'blobs'), { recursive: true });
    assert.equal((await content.blobs()).size, 0);
    await rm(join(dir, 'ingest'), { recursive: true });
    await assert.rejects(content.blobs(), /ENOENT/, 'an unmounted store is an empty folder');
  });

  it('takes no notice of what is not a blob', async () => {
    await writeFile(join(dir, 'blobs/sha256/README'), 'text');
    await mkdir(join(dir, 'blobs/sha256', 'e'.repeat(64)));
    assert.equal((await content.blobs()).size, 0);
  });

  it('rejects when the store is not there', async () => {
    await ingest('one', `k8s.io/7/layer-${DIGEST}`, 'four');
    const file = (await content.find(DIGEST))!;
    await rm(dir, { recursive: true });
    await assert.rejects(content.blobs(), /ENOENT/);
    await assert.rejects(content.again(DIGEST, file), /ENOENT/);
    assert.equal(await content.find(DIGEST), null);
  });

  it('reads a shard only if it is whole and right, and follows no link', async () => {
    const arena = Arena.create(2 * SHARD_BYTES);
    arena.tryLock(0);
    arena.begin(0);
    const path = join(root, 'file');
    const bytes = Buffer.alloc(SHARD_BYTES + 100, 7);
    await writeFile(path, bytes);
    const job = { path, offsetBytes: SHARD_BYTES, lengthBytes: 100, slot: 0 };
    const checksum = checksumOf(bytes.subarray(0, 100));
    const outcome = (more: object): Promise<string> =>
      readFilePart(arena, { ...job, checksum, ...more });
    assert.equal(await outcome({}), 'ok');
    assert.equal(arena.bytes(0, 99, 100)[0], 7);
    assert.equal(await outcome({ lengthBytes: 101 }), 'gone');
    assert.equal(await outcome({ path: join(root, 'none') }), 'gone');
    assert.equal(await outcome({ checksum: checksumOf(bytes) }), 'changed');
    await symlink(path, join(root, 'link'));
    await assert.rejects(outcome({ path: join(root, 'link') }), /ELOOP/);
  });

  it('looks for the store where the setting says', async () => {
    assert.equal(await findContentStore('off', [root]), null);
    assert.equal(await findContentStore('auto', ['/nowhere', root]), dir);
    assert.equal(await findContentStore('auto', ['/nowhere']), null);
    assert.equal(await findContentStore(root), dir);
    assert.equal(await findContentStore(dir), dir);
    assert.equal(await findContentStore('/not/yet'), '/not/yet');
  });
});
