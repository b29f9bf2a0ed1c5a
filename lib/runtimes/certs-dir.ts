import { dirname, join, relative, resolve } from 'node:path';
import { ShoalError } from '../errors.ts';
import { exists, readText, removeFile, replaceFile, systemDisk, unusable } from './disk.ts';
import type { Disk } from './disk.ts';
import { freshHosts, headOf, hostsWith, readHosts, serverOf } from './hosts-toml.ts';
import type { CertificateFiles, HostsFile, HostsPlan, HostsRecord, Mirror } from './hosts-toml.ts';
import { KeptFile } from './kept-file.ts';

export interface RegistryStatus {
  registry: string;
  file: string;
  /** Who wrote the configuration of the registry. */
  by: 'shoal' | 'other' | 'nobody';
  server: string | null;
  /** In the order in which containerd tries them, before `server`. */
  hosts: string[];
  backup: string | null;
}

export interface RegistryChange extends RegistryStatus {
  changed: boolean;
  /** Hosts that containerd used for this registry before the change and no longer uses. */
  dropped: string[];
}

const OWN_FOLDER = '.';
/** The only relative paths that a record may list for removal. */
const WAY_UP = /^(?:\.|\.\.(?:\/\.\.)*)$/;

/**
 * containerd's directory of registry hosts (`certs.d`). Every method throws FILE_UNUSABLE naming
 * the file; the file is then unchanged.
 */
export class CertsDir {
  readonly #root: string;
  readonly #disk: Disk;

  constructor(root: string, disk: Disk = systemDisk) {
    this.#root = resolve(root);
    this.#disk = disk;
  }

  /** Registries that have their own hosts.toml, in alphabetical order. */
  registries(): string[] {
    try {
      const names = exists(this.#disk, this.#root) ? this.#disk.list(this.#root) : [];
      return names
        .filter((name) => exists(this.#disk, join(this.#root, name, 'hosts.toml')))
        .map(registryOf)
        .sort();
    } catch (error) {
      throw unusable(this.#root, 'cannot be read', error);
    }
  }

  status(registry: string): RegistryStatus {
    const file = this.#fileOf(registry);
    return this.#named(file, () => statusOf(registry, file));
  }

  /**
   * Makes containerd ask `mirror` first for images of `registry` (null: no mirror), and `server`
   * last: by default the registry itself, for a P2P host the registry behind it.
   */
  configure(
    registry: string,
    mirror: Mirror | null,
    server: string = serverOf(registry),
  ): RegistryChange {
    const plan: HostsPlan = { registry, mirror, server };
    const file = this.#fileOf(registry);
    return this.#named(file, () => {
      const now = file.read();
      const current = now === null ? null : readHosts(now);
      const ours = current?.record ?? null;
      if (ours === null && mirror !== null && isAsWanted(current, plan))
        return { ...statusOf(registry, file), changed: false, dropped: [] };
      // Merge with the file that was there before Shoal, not with Shoal's own file.
      const before = ours === null ? now : ours.kept ? backupOf(file) : null;
      const made = ours?.made ?? this.#foldersToMake(dirname(file.path));
      const record: HostsRecord = { kept: before !== null, made };
      const certificates =
        before === null || before === ''
          ? this.#certificates(dirname(file.path))
          : { cas: [], clients: [] };
      const merged = hostsWith(plan, before, certificates, record);
      const text = merged ?? freshHosts(plan, certificates, headOf(record));
      const dropped =
        before === null
          ? this.#defaultHosts(registry)
          : merged === null
            ? readHosts(before).hosts
            : [];
      if (text !== now) this.#write(file, text, ours === null && now !== null);
      return {
        ...statusOf(registry, file),
        changed: text !== now,
        dropped: dropped.filter((host) => host !== mirror?.url),
      };
    });
  }

  /**
   * Restores the state before `configure`: the old file or none, and no directory that `configure`
   * created.
   */
  restore(registry: string): RegistryChange {
    const file = this.#fileOf(registry);
    return this.#named(file, () => {
      const now = file.read();
      const ours = now === null ? null : recordIn(now);
      const changed = ours !== null;
      if (ours === null) this.#checkSettled(file, now);
      else if (ours.kept) this.#putBack(file);
      else this.#remove(file, ours.made);
      return { ...statusOf(registry, file), changed, dropped: [] };
    });
  }

  /** The file is not Shoal's. Fails only if a backup with other content is left. */
  #checkSettled(file: KeptFile, now: string | null): void {
    const backup = file.readBackup();
    if (backup === null) return;
    if (now !== null && now !== backup) {
      throw new ShoalError(
        'FILE_UNUSABLE',
        'changed by another program since Shoal wrote it; the content before Shoal is in ' +
          `${file.backupPath}: compare the two, then remove the backup`,
      );
    }
    if (now === null) file.restore();
    else file.dropBackup();
  }

  #write(file: KeptFile, text: string, isForeign: boolean): void {
    const folder = dirname(file.path);
    for (const missing of this.#missingFolders(folder)) {
      try {
        this.#disk.makeFolder(missing);
      } catch (error) {
        throw unusable(missing, 'cannot be made', error);
      }
    }
    if (isForeign) file.change(text, { keepAnew: true });
    else replaceFile(this.#disk, file.path, text);
  }

  #putBack(file: KeptFile): void {
    backupOf(file);
    file.restore();
  }

  #remove(file: KeptFile, made: readonly string[]): void {
    removeFile(this.#disk, file.path);
    for (const way of made.filter((one) => WAY_UP.test(one)).toReversed()) {
      try {
        this.#disk.removeFolder(join(dirname(file.path), way));
      } catch {
        // The directory is in use by now.
        return;
      }
    }
  }

  /**
   * The directories to create for a file in `folder`, and those above it that were created for
   * another registry; the last restore removes them.
   */
  #foldersToMake(folder: string): string[] {
    const records = this.registries().map((registry) =>
      recordIn(readText(this.#disk, this.#fileOf(registry).path) ?? ''),
    );
    const shared = records
      .flatMap((record) => record?.made ?? [])
      .filter((way) => way !== OWN_FOLDER);
    const missing = this.#missingFolders(folder).map(
      (path) => relative(folder, path) || OWN_FOLDER,
    );
    return [...new Set([...shared, ...missing])].sort((a, b) => b.length - a.length);
  }

  /** Outermost first. */
  #missingFolders(folder: string): string[] {
    const missing: string[] = [];
    for (let at = folder; !exists(this.#disk, at); at = dirname(at)) missing.unshift(at);
    return missing;
  }

  /**
   * Hosts that apply to every registry without its own file (`_default`), except those written by
   * Shoal.
   */
  #defaultHosts(registry: string): string[] {
    const file = this.#fileOf('_default');
    const found = registry === '_default' ? null : file.read();
    if (found === null) return [];
    const { record, hosts } = readHosts(found);
    return record === null ? hosts : record.kept ? readHosts(backupOf(file)).hosts : [];
  }

  #certificates(folder: string): CertificateFiles {
    if (!exists(this.#disk, folder)) return { cas: [], clients: [] };
    const names = this.#disk.list(folder).sort();
    const clients = names
      .filter((name) => name.endsWith('.cert'))
      .map((cert) => {
        const key = cert.replace(/\.cert$/, '.key');
        return [cert, names.includes(key) ? key : ''] as const;
      });
    return { cas: names.filter((name) => name.endsWith('.crt')), clients };
  }

  /**
   * containerd looks for `host_port_` first, then for `host:port`, and uses only the first that
   * exists.
   */
  #fileOf(registry: string): KeptFile {
    const underscored = join(this.#root, registry.replace(/:(\d+)$/, '_$1_'));
    const folder =
      underscored.endsWith('_') && exists(this.#disk, underscored)
        ? underscored
        : join(this.#root, registry);
    return new KeptFile(this.#disk, join(folder, 'hosts.toml'));
  }

  #named<T>(file: KeptFile, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof ShoalError && !error.message.startsWith('/'))
        throw new ShoalError(error.code, `${file.path}: ${error.message}`, { cause: error });
      throw unusable(file.path, 'cannot be changed', error);
    }
  }
}

/** The content before Shoal's change; the record says that a backup exists. */
function backupOf(file: KeptFile): string {
  const backup = file.readBackup();
  if (backup === null)
    throw new ShoalError('FILE_UNUSABLE', `its backup ${file.backupPath} is missing`);
  return backup;
}

function statusOf(registry: string, file: KeptFile): RegistryStatus {
  const text = file.read();
  const found: HostsFile | null = text === null ? null : readHosts(text);
  return {
    registry,
    file: file.path,
    by: found === null ? 'nobody' : found.record === null ? 'other' : 'shoal',
    server: found?.server ?? null,
    hosts: found?.hosts ?? [],
    backup: file.readBackup() === null ? null : file.backupPath,
  };
}

/** Whether somebody else's file already does what a plan asks for. */
function isAsWanted(file: HostsFile | null, { registry, mirror, server }: HostsPlan): boolean {
  const needsServer = server !== serverOf(registry);
  return file?.hosts[0] === mirror?.url && (!needsServer || file?.server !== null);
}

/** A damaged file does not count as Shoal's. */
function recordIn(text: string): HostsRecord | null {
  try {
    return readHosts(text).record;
  } catch {
    return null;
  }
}

function registryOf(folder: string): string {
  return folder.replace(/_(\d+)_$/, ':$1');
}
