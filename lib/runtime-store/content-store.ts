import type { Stats } from 'node:fs';
import { opendir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RUNTIME_BLOBS_MAX, RUNTIME_INGESTS_MAX } from './limits.ts';

/** A file of the content store that holds a blob, or the beginning of one. */
export interface ContentFile {
  kind: 'blob' | 'ingest';
  path: string;
  sizeBytes: number;
  /** Changes when another file takes its place, or its content is written again. */
  identity: string;
  /** Whether an ingest receives a layer; null: a committed blob does not say. */
  isLayer: boolean | null;
}

/** What the tier needs of the content store; tests give their own. No method writes. */
export interface ContentStore {
  readonly dir: string;
  /** Digests of the committed blobs and their files. Rejects when the store cannot be read. */
  blobs(): Promise<Map<string, ContentFile>>;
  /** The committed blob, else the ingest that receives it; null: neither. */
  find(digest: string): Promise<ContentFile | null>;
  /** The present state of `file`: grown, committed, or null if it is gone. Rejects as `blobs`. */
  again(digest: string, file: ContentFile): Promise<ContentFile | null>;
}

const HEX = /^[0-9a-f]{64}$/;
/** `<namespace>/<sequence>/layer-sha256:<hex>`, as containerd's clients name their ingests. */
const REF = /(?:^|\/)(?:([a-z]+)-)?(sha256:[0-9a-f]{64})$/;
const REF_BYTES_MAX = 4_096;

/**
 * containerd's local content store: committed blobs are `blobs/sha256/<hex>`, and blobs under way
 * are `ingest/<name>/data` with their reference in `ingest/<name>/ref`
 * (containerd, docs/content-flow.md; plugins/content/local/store.go).
 */
export class LocalContentStore implements ContentStore {
  readonly dir: string;
  readonly #list: (dir: string) => Promise<string[]>;

  /** `list`: the names in a folder; tests give their own. */
  constructor(dir: string, list = namesIn) {
    this.dir = dir;
    this.#list = list;
  }

  async blobs(): Promise<Map<string, ContentFile>> {
    const found = new Map<string, ContentFile>();
    const blobs = join(this.dir, 'blobs/sha256');
    if ((await statOf(blobs)) === null) {
      await this.#present();
      return found;
    }
    for await (const { name } of await opendir(blobs)) {
      if (!HEX.test(name)) continue;
      const file = await this.#file('blob', this.#blobPath(`sha256:${name}`), null);
      if (file !== null) found.set(`sha256:${name}`, file);
      if (found.size >= RUNTIME_BLOBS_MAX) break;
    }
    return found;
  }

  async find(digest: string): Promise<ContentFile | null> {
    const committed = (): Promise<ContentFile | null> =>
      this.#file('blob', this.#blobPath(digest), null);
    // An ingest that is committed between the two looks is in neither: so a third look.
    return (await committed()) ?? (await this.#ingest(digest)) ?? (await committed());
  }

  async again(digest: string, file: ContentFile): Promise<ContentFile | null> {
    const now =
      (await this.#file(file.kind, file.path, file.isLayer)) ??
      (await this.#file('blob', this.#blobPath(digest), file.isLayer));
    if (now === null) await this.#present();
    return now;
  }

  /**
   * Rejects if the store is not there, as when it was unmounted. containerd makes the folder of
   * ingests at its start, and that of blobs with the first one.
   */
  async #present(): Promise<void> {
    await stat(join(this.dir, 'ingest'));
  }

  #blobPath(digest: string): string {
    return join(this.dir, 'blobs', 'sha256', digest.slice('sha256:'.length));
  }

  async #ingest(digest: string): Promise<ContentFile | null> {
    const ingests = join(this.dir, 'ingest');
    let newest: { file: ContentFile; changedMs: number } | null = null;
    for (const name of await this.#list(ingests)) {
      const ref = await textOf(join(ingests, name, 'ref'));
      const [, what, named] = REF.exec(ref ?? '') ?? [];
      if (named !== digest) continue;
      const path = join(ingests, name, 'data');
      const stats = await statOf(path);
      // Each namespace has its own ingest of a blob; the one that grows now is the useful one.
      if (stats?.isFile() !== true || stats.mtimeMs < (newest?.changedMs ?? 0)) continue;
      newest = {
        file: contentFile('ingest', path, stats, what === 'layer'),
        changedMs: stats.mtimeMs,
      };
    }
    return newest?.file ?? null;
  }

  async #file(
    kind: ContentFile['kind'],
    path: string,
    isLayer: boolean | null,
  ): Promise<ContentFile | null> {
    const stats = await statOf(path);
    return stats?.isFile() === true ? contentFile(kind, path, stats, isLayer) : null;
  }
}

function contentFile(
  kind: ContentFile['kind'],
  path: string,
  { dev, ino, size, mtimeMs }: Stats,
  isLayer: boolean | null,
): ContentFile {
  // An ingest is written all the time: only another file is another content.
  const identity = kind === 'blob' ? `${dev}:${ino}:${size}:${mtimeMs}` : `${dev}:${ino}`;
  return { kind, path, sizeBytes: size, identity, isLayer };
}

/** The first RUNTIME_INGESTS_MAX names in a folder; none if there is no such folder. */
export async function namesIn(dir: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of await opendir(dir)) {
      names.push(name);
      if (names.length >= RUNTIME_INGESTS_MAX) break;
    }
  } catch (thrown) {
    if (!isGone(thrown)) throw thrown;
  }
  return names;
}

/** null: there is no such file. Rejects for every other reason. */
async function statOf(path: string): Promise<Stats | null> {
  try {
    return await stat(path);
  } catch (thrown) {
    if (isGone(thrown)) return null;
    throw thrown;
  }
}

async function textOf(path: string): Promise<string | null> {
  try {
    const stats = await stat(path);
    return stats.isFile() && stats.size <= REF_BYTES_MAX ? await readFile(path, 'utf8') : null;
  } catch (thrown) {
    if (isGone(thrown)) return null;
    throw thrown;
  }
}

function isGone(thrown: unknown): boolean {
  const { code } = thrown as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
