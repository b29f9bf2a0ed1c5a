import { chmodSync, cpSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { VERSION } from '../../lib/version.ts';
import { commit } from './build.ts';
import { debianRoot, type DebianPackage } from './debian.ts';
import { gzip, packTar, sha256Of, type PackagingOptions } from './files.ts';
import { emptyDirectory } from './program.ts';
import { IMAGE_USER, type Architecture } from './runtimes.ts';

const MEDIA = 'application/vnd.oci.image';

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { architecture: string; os: string };
  annotations?: Record<string, string>;
}

/**
 * An OCI image layout under construction (image-spec 1.1): content-addressed blobs and an index
 * with one manifest for each architecture.
 */
export class ImageLayout {
  readonly #directory: string;
  readonly #work: string;
  readonly #date: number;
  readonly #level: number;
  readonly #manifests: Descriptor[] = [];
  /** Packages of Debian in the image, by architecture. */
  readonly packages = new Map<Architecture, DebianPackage[]>();

  constructor(directory: string, { work, date, level }: Omit<PackagingOptions, 'out'>) {
    this.#directory = emptyDirectory(directory);
    mkdirSync(join(directory, 'blobs/sha256'), { recursive: true });
    this.#work = work;
    this.#date = date;
    this.#level = level;
  }

  /** Adds an image: Debian's packages and Node.js in one layer, Shoal in another. */
  add(architecture: Architecture, program: string): void {
    const root = join(this.#work, `root-${architecture}`);
    this.packages.set(architecture, debianRoot(architecture, root));
    cpSync(join(program, 'node'), join(root, 'usr/bin/node'));
    const app = emptyDirectory(join(this.#work, `app-${architecture}`));
    cpSync(program, join(app, 'app'), {
      recursive: true,
      filter: (path) => path !== join(program, 'node'),
    });
    const layers = [this.#layer(root), this.#layer(app), this.#dataLayer(architecture)];
    const created = new Date(this.#date * 1000).toISOString();
    const config = this.#json(`${MEDIA}.config.v1+json`, {
      created,
      architecture,
      os: 'linux',
      config: {
        User: `${IMAGE_USER}:${IMAGE_USER}`,
        Env: ['PATH=/usr/bin', 'NODE_ENV=production'],
        Entrypoint: ['node', 'lib/shoal.js'],
        Cmd: ['agent'],
        WorkingDir: '/app',
        ExposedPorts: { '65001/tcp': {}, '65002/tcp': {}, '65003/tcp': {} },
        Labels: labels(),
      },
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      history: ['Debian packages and Node.js', 'Shoal', 'data directories'].map((comment) => ({
        created,
        comment,
      })),
    });
    const manifest = this.#json(`${MEDIA}.manifest.v1+json`, {
      schemaVersion: 2,
      mediaType: `${MEDIA}.manifest.v1+json`,
      config,
      layers: layers.map(({ descriptor }) => descriptor),
      annotations: labels(),
    });
    this.#manifests.push({ ...manifest, platform: { architecture, os: 'linux' } });
  }

  /** Writes the index and packs the layout as one tar (`skopeo`: oci-archive:FILE). */
  pack(tar: string): void {
    const list = this.#json(`${MEDIA}.index.v1+json`, {
      schemaVersion: 2,
      mediaType: `${MEDIA}.index.v1+json`,
      manifests: this.#manifests,
    });
    const index = {
      schemaVersion: 2,
      mediaType: `${MEDIA}.index.v1+json`,
      manifests: [
        { ...list, annotations: { 'org.opencontainers.image.ref.name': `shoal:${VERSION}` } },
      ],
    };
    writeFileSync(join(this.#directory, 'index.json'), JSON.stringify(index));
    writeFileSync(join(this.#directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    packTar(this.#directory, tar, this.#date);
  }

  #layer(directory: string): { descriptor: Descriptor; diffId: string } {
    const tar = `${directory}.tar`;
    packTar(directory, tar, this.#date);
    return this.#packed(tar);
  }

  /** Directories that the node's user may write to; mounts may replace them. */
  #dataLayer(architecture: Architecture): { descriptor: Descriptor; diffId: string } {
    const directory = emptyDirectory(join(this.#work, `data-${architecture}`));
    for (const name of ['', 'cache', 'log', 'certs']) {
      mkdirSync(join(directory, 'dadi-p2p', name));
      chmodSync(join(directory, 'dadi-p2p', name), 0o755);
    }
    mkdirSync(join(directory, 'tmp'));
    chmodSync(join(directory, 'tmp'), 0o1777);
    const tar = `${directory}.tar`;
    packTar(directory, tar, this.#date, {
      members: ['dadi-p2p', 'tmp'],
      owner: IMAGE_USER,
      keepModes: true,
    });
    return this.#packed(tar);
  }

  #packed(tar: string): { descriptor: Descriptor; diffId: string } {
    const diffId = `sha256:${sha256Of(tar)}`;
    const packed = gzip(tar, this.#level);
    const digest = sha256Of(packed);
    const size = statSync(packed).size;
    renameSync(packed, this.#blob(digest));
    rmSync(tar, { force: true });
    return {
      descriptor: { mediaType: `${MEDIA}.layer.v1.tar+gzip`, digest: `sha256:${digest}`, size },
      diffId,
    };
  }

  #json(mediaType: string, value: object): Descriptor {
    const text = JSON.stringify(value);
    const digest = createHash('sha256').update(text).digest('hex');
    writeFileSync(this.#blob(digest), text);
    return { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(text) };
  }

  #blob(digest: string): string {
    return join(this.#directory, 'blobs/sha256', digest);
  }
}

function labels(): Record<string, string> {
  return {
    'org.opencontainers.image.title': 'shoal',
    'org.opencontainers.image.description': 'Peer-to-peer distribution of container images',
    'org.opencontainers.image.version': VERSION,
    'org.opencontainers.image.revision': commit() ?? 'unknown',
    'org.opencontainers.image.licenses': 'Apache-2.0',
  };
}
