import { LOCAL } from '../../lib/share-queue.ts';
import type { RuntimeStore } from '../../lib/runtime-store/runtime-store.ts';
import type { CacheStore } from '../../lib/cache/store.ts';
import { ManualClock } from '../../lib/clock.ts';
import { BlobFacts } from '../../lib/control/shards/blob-facts.ts';
import { ShardLoader } from '../../lib/control/shards/loader.ts';
import type {
  FillFromSwarm,
  Interest,
  Resident,
  FetchOptions,
} from '../../lib/control/shards/resident.ts';
import { Residency } from '../../lib/control/shards/residency.ts';
import type { ShoalError } from '../../lib/errors.ts';
import { Arena } from '../../lib/io/arena.ts';
import { Doorbells } from '../../lib/io/doorbell.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';

export const KEY = `sha256:${'ab'.repeat(32)}`;
export const OTHER_KEY = `sha256:${'cd'.repeat(32)}`;
export const CHECKSUM = '5a'.repeat(32);
export const OPTIONS: FetchOptions = {
  origin: null,
  sliceBytes: 0,
  digest: null,
  requestId: 'request-1',
  onBehalf: null,
};

/** One call of the loader for a shard's bytes, ended by the test. */
export interface Fill {
  resident: Resident;
  way: FetchOptions;
  done: Parameters<FillFromSwarm>[2];
  failed: Parameters<FillFromSwarm>[3];
  abandoned: boolean;
  offered: FetchOptions[];
}

/** A disk that holds what the test puts there; reads end when the test says so. */
export class FakeStore {
  readonly held = new Map<
    string,
    { totalBytes: number; lengthBytes: number; checksum: Uint8Array }
  >();
  readonly loads: {
    key: string;
    shard: number;
    slot: number;
    end(outcome: 'ok' | 'miss'): void;
  }[] = [];
  readonly saves: { key: string; shard: number; end(): void }[] = [];
  readonly dropped: string[] = [];
  readonly touched: string[] = [];

  put(key: string, shard: number, totalBytes = SHARD_BYTES, lengthBytes = SHARD_BYTES): void {
    this.held.set(`${key}/${shard}`, {
      totalBytes,
      lengthBytes,
      checksum: Buffer.from(CHECKSUM, 'hex'),
    });
  }

  has(
    key: string,
    shard: number,
  ): { totalBytes: number; lengthBytes: number; checksum: Uint8Array } | undefined {
    return this.held.get(`${key}/${shard}`);
  }

  shardsOf(key: string): { count: number; has(shard: number): boolean } {
    return {
      count: [...this.held.keys()].filter((name) => name.startsWith(`${key}/`)).length,
      has: (shard) => this.held.has(`${key}/${shard}`),
    };
  }

  totalOf(key: string): number | undefined {
    for (const [name, { totalBytes }] of this.held)
      if (name.startsWith(`${key}/`)) return totalBytes;
    return undefined;
  }

  load(key: string, shard: number, slot: number): Promise<'ok' | 'miss'> {
    return new Promise((end) => this.loads.push({ key, shard, slot, end }));
  }

  save(key: string, shard: number): Promise<'stored' | 'skipped'> {
    return new Promise((resolve) => this.saves.push({ key, shard, end: () => resolve('stored') }));
  }

  drop(key: string): void {
    this.dropped.push(key);
    for (const name of [...this.held.keys()])
      if (name.startsWith(`${key}/`)) this.held.delete(name);
  }

  touch(key: string, shard: number): void {
    this.touched.push(`${key}/${shard}`);
  }
}

/** An interest that writes down what it hears. */
export class Listener implements Interest {
  readonly places: { slot: number; cold: boolean }[] = [];
  readonly errors: ShoalError[] = [];

  placed(resident: Resident, cold: boolean): void {
    this.places.push({ slot: resident.slot, cold });
  }

  failed(error: ShoalError): void {
    this.errors.push(error);
  }
}

/** A container runtime's store as the loader sees it; tests say what it has. */
export type FakeRuntime = Pick<
  RuntimeStore,
  'has' | 'load' | 'keeps' | 'shardsOf' | 'totalOf' | 'wanted' | 'drop'
>;

/** A loader over a small arena, with a fake disk and a swarm that the test plays. */
export interface LoaderFixture {
  clock: ManualClock;
  arena: Arena;
  doorbells: Doorbells;
  residency: Residency;
  facts: BlobFacts;
  store: FakeStore;
  fills: Fill[];
  completed: { name: string; fromDisk: boolean }[];
  /** Names of shards that a digest is about to read. */
  awaited: Set<string>;
  looked: string[];
  /** What was read from disk or written there: operation, shard, size, time. */
  filed: [string, number, number, number][];
  /** Bytes of shards that were not written to the cache. */
  spared: number[];
  loader: ShardLoader;
  /** Ends the newest fill of a shard well, as a transfer task would. */
  deliver(shard: number, totalBytes?: number): Promise<void>;
}

export function loaderFixture(
  options: { slots?: number; disk?: boolean; fill?: FillFromSwarm; runtime?: FakeRuntime } = {},
): LoaderFixture {
  const clock = new ManualClock();
  const arena = Arena.create((options.slots ?? 4) * SHARD_BYTES);
  const doorbells = Doorbells.create(1);
  const residency = new Residency(arena, doorbells, clock);
  const facts = new BlobFacts();
  const store = new FakeStore();
  const fills: Fill[] = [];
  const completed: { name: string; fromDisk: boolean }[] = [];
  const awaited = new Set<string>();
  const looked: string[] = [];
  const filed: [string, number, number, number][] = [];
  const spared: number[] = [];
  const fill: FillFromSwarm = (resident, way, done, failed) => {
    const fill: Fill = { resident, way, done, failed, abandoned: false, offered: [] };
    fills.push(fill);
    return {
      abandon: () => void (fill.abandoned = true),
      offer: (other) => void fill.offered.push(other),
    };
  };
  const loader = new ShardLoader({
    clock,
    arena,
    doorbells,
    residency,
    store: options.disk === true ? (store as unknown as CacheStore) : null,
    runtime: (options.runtime as unknown as RuntimeStore | undefined) ?? null,
    spared: (sizeBytes) => spared.push(sizeBytes),
    facts,
    fill: options.fill ?? fill,
    shareOf: () => LOCAL,
    isAwaited: ({ key, shard }) => awaited.has(`${key}/${shard}`),
    completed: (resident, fromDisk) =>
      completed.push({ name: `${resident.key}/${resident.shard}`, fromDisk }),
    filed: (operation, resident, sizeBytes, tookMs) =>
      filed.push([operation, resident.shard, sizeBytes, tookMs]),
    looked: (tier) => looked.push(tier),
  });
  const deliver = async (shard: number, totalBytes = SHARD_BYTES): Promise<void> => {
    const fill = fills.findLast((each) => each.resident.shard === shard);
    if (fill === undefined) throw new Error(`nothing fills shard ${shard}`);
    const lengthBytes = Math.min(SHARD_BYTES, totalBytes - shard * SHARD_BYTES);
    arena.setLength(fill.resident.slot, lengthBytes, totalBytes);
    arena.setReceived(fill.resident.slot, lengthBytes);
    fill.done({ lengthBytes, totalBytes, checksum: CHECKSUM });
    await settled();
  };
  return {
    clock,
    arena,
    doorbells,
    residency,
    facts,
    store,
    fills,
    completed,
    awaited,
    looked,
    filed,
    spared,
    loader,
    deliver,
  };
}

/** Resolves when every promise that could go on without time or I/O has gone on. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
